"""Data sets by name. An entry here is all that a new one needs, besides an extractor if it comes out of a package.

Other packages name theirs in the entry-point group `tunebench.datasets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol

from bench.cache import cache_folder
from bench.data import beir_sets, paper_sets
from bench.data.archive import Archive
from bench.data.captions import COCO_CAPTIONS, FLICKR_CAPTIONS
from bench.data.counts import Counts
from bench.data.dataset import Dataset
from bench.data.download import Download
from bench.data.folder import read_folder
from bench.data.hub import Hub
from bench.data.mteb_tasks import MTEB, MtebTask
from bench.data.packages import Packages
from bench.errors import BadInput, one_line
from bench.whole import make_whole
from methods import nearest_name, origin

FOLDER = "folder:"
GROUP = "tunebench.datasets"


class Source(Protocol):
    """Where a data set comes from."""

    def key(self, name: str) -> str:
        """What tells its versions apart: another one when it would be another data set."""
        ...

    def write(self, name: str, folder: Path) -> None:
        """Writes that folder."""
        ...


@dataclass(frozen=True)
class Entry:
    """A data set.

    Attributes:
        about: what is searched for in what, in one line.
        licence: of the items.
        citation: of whoever made it.
        source: where it comes from.
        counts: what it holds; of one that comes out of packages, with those of constraints.txt.
        splits: those that it brings along; none when it is split at random.
        megabytes: of the download; None where nobody says.
        encoder: the default one.
    """

    about: str
    licence: str
    citation: str
    source: Source
    counts: Counts
    splits: str = ""
    megabytes: float | None = None
    encoder: str = "minilm"

    def cached(self, name: str) -> Path:
        """Where its BEIR folder is kept, once it has been opened."""
        return cache_folder() / "data" / f"{name}-{self.source.key(name)}".replace("/", "-")

    def is_cached(self, name: str) -> bool:
        """Whether it has been opened before."""
        try:
            return self.cached(name).exists()
        except BadInput:  # a package that it comes out of is not installed
            return False

    def folder(self, name: str) -> Path:
        """Its BEIR folder, made first when there is none yet."""
        make_whole(self.cached(name), partial(self.source.write, name))
        return self.cached(name)


CATALOGUE: Mapping[str, Entry] = {
    "icon-names": Entry(
        about="names of Lucide icons, asked for by the tags that people gave them",
        licence="ISC",
        citation="Lucide",
        source=Packages("icon_names.extract", ("python-lucide",), revision=1),
        counts=Counts(1_903, 3_906, 9_776, exact=False),
    ),
    "apidocs": Entry(
        about="functions and classes of five Python libraries, asked for by sentences that describe them",
        licence="BSD-3-Clause",
        citation="the libraries' docstrings",
        source=Packages("apidocs.extract", ("numpy", "scipy", "pandas", "scikit-learn", "networkx"), revision=1),
        counts=Counts(2_435, 8_334, 10_663, exact=False),
    ),
    **{
        name: Entry(
            about=about,
            licence="ISC",
            citation="Lucide",
            source=Packages(f"icons.{extract}", ("python-lucide", "resvg-py"), revision=1),
            counts=counts,
            encoder="icon-clip",
        )
        for name, about, extract, counts in (
            (
                "icons",
                "pictures of Lucide icons, asked for by the tags that people gave them",
                "tags_to_pictures",
                Counts(1_903, 3_906, 9_776, exact=False),
            ),
            (
                "icons-to-tags",
                "tags of Lucide icons, asked for by their pictures",
                "pictures_to_tags",
                Counts(3_906, 1_705, 9_776, exact=False),
            ),
            (
                "icons-to-icons",
                "pictures of Lucide icons, asked for by those that share a tag",
                "pictures_to_pictures",
                Counts(1_903, 1_670, 20_930, exact=False),
            ),
        )
    },
    **{
        f"beir/{name}": Entry(
            about=found.about,
            licence=found.licence,
            citation=found.citation,
            source=Archive(Download(beir_sets.URL.format(name.partition("/")[0]), found.md5), inside=name),
            splits=found.splits,
            counts=found.counts,
            megabytes=found.megabytes,
        )
        for name, found in beir_sets.SETS.items()
    },
    **{
        f"paper/{name}": Entry(
            about=found.about,
            licence=found.licence,
            citation=found.citation,
            source=Hub(paper_sets.REPOSITORY.format(name)),
            splits="train, dev, test",
            counts=found.counts,
        )
        for name, found in paper_sets.SETS.items()
    },
    "paper/flickr30k": Entry(
        about="photographs of people and animals for their captions, split by caption",
        licence="research and education only",
        citation="Young et al. 2014",
        source=FLICKR_CAPTIONS,
        splits="train, dev, test",
        counts=Counts(31_000, 155_000, 155_000, exact=False),
        megabytes=4_400,
        encoder="clip-b32",
    ),
    "paper/coco": Entry(
        about="photographs of everyday scenes for their captions, split by caption",
        licence="captions CC BY 4.0, photographs their owners'",
        citation="Lin et al. 2014",
        source=COCO_CAPTIONS,
        splits="train, dev, test",
        counts=Counts(82_783, 414_113, 414_113, exact=False),
        megabytes=13_800,
        encoder="clip-b32",
    ),
}


@cache
def plugged() -> Mapping[str, EntryPoint]:
    """The data sets of other packages, by name.

    Raises:
        ValueError: when two claim one name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in found or point.name in CATALOGUE:
            raise ValueError(f"data set {point.name!r} is registered twice; uninstall {point.value!r} or rename it")
        found[point.name] = point
    return found


def dataset_names() -> list[str]:
    """Every data set that has an entry."""
    return [*CATALOGUE, *plugged()]


def dataset_origins(names: Iterable[str]) -> dict[str, str]:
    """The packages that other people's data sets among these come from, by name, without importing them."""
    return {name: origin(plugged()[name]) for name in names if name in plugged()}


def entry(name: str) -> Entry:
    """The entry of a data set of the catalogue or of another package, or of a task of mteb.

    Raises:
        UnknownName: when mteb has no such task.
        BadInput: when mteb is not installed, or cannot be asked for that task; when the other package cannot be
            imported.
    """
    if name in plugged():
        try:
            found: Entry = plugged()[name].load()
        except ImportError as error:
            raise BadInput(f"{name}: cannot be imported ({one_line(error)}); install what it needs") from None
        return found
    if not name.startswith(MTEB):
        return CATALOGUE[name]
    task = MtebTask.named(name)
    return Entry(
        task.about,
        task.licence,
        task.citation,
        task,
        task.counts,
        task.splits,
        encoder="clip-b32" if task.pictures else "minilm",
    )


def check_dataset_name(name: str) -> None:
    """Raises `methods.UnknownName`, with the nearest name, when no data set is called so.

    Whether mteb has a task of that name is seen when it is opened, for to import mteb takes seconds.
    """
    if not name.startswith((FOLDER, MTEB)) and name not in dataset_names():
        raise nearest_name("data set", name, [*dataset_names(), f"{FOLDER}PATH", f"{MTEB}TASK"])


def is_at_hand(name: str) -> bool:
    """Whether a data set can be opened without fetching or extracting it first."""
    return name.startswith(FOLDER) or entry(name).is_cached(name)


def default_encoder(name: str) -> str:
    """The encoder that a data set is searched with when none is asked for."""
    return "minilm" if name.startswith(FOLDER) else entry(name).encoder


def open_dataset(name: str, limit: int | None = None) -> Dataset:
    """Loads a data set.

    Args:
        name: of the catalogue, `mteb/TASK`, or `folder:PATH`.
        limit: at the most so many judged queries are kept, chosen by a hash of their ids; the corpus stays whole.

    Raises:
        UnknownName: when mteb has no such task.
        BadInput: when it cannot be read or fetched, or its packages are not installed.
    """
    if name.startswith(FOLDER):
        return replace(read_folder(Path(name.removeprefix(FOLDER))).limited(limit), name=name)
    asked = entry(name)
    folder = asked.folder(name)
    dataset = read_folder(folder)
    if asked.counts.exact:
        _check_counts(name, dataset, asked.counts, folder)
    return replace(dataset.limited(limit), name=name)


def _check_counts(name: str, dataset: Dataset, due: Counts, folder: Path) -> None:
    found = Counts(len(dataset.documents), len(dataset.queries), len(dataset.qrels.columns))
    for what, number in vars(due).items():
        if number is not None and vars(found)[what] != number:
            raise BadInput(f"{name}: {vars(found)[what]:,} {what} instead of {number:,}; delete {folder}")
