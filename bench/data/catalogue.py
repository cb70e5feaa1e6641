"""Data sets by name. An entry here is all that a new one needs, besides an extractor if it comes out of a package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from bench.cache import cache_folder
from bench.data import beir_sets, paper_sets
from bench.data._whole import make_whole
from bench.data.archive import Archive
from bench.data.dataset import Dataset
from bench.data.folder import read_folder
from bench.data.hub import Hub
from bench.data.mteb_tasks import MTEB, MtebTask
from bench.data.packages import Packages
from bench.errors import BadInput
from methods import nearest_name

FOLDER = "folder:"


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
        about: what a document, a query and a judgement are, in one line.
        licence: of the texts.
        source: where it comes from.
        documents: how many it must hold; None where that depends on what is installed.
        encoder: the default one.
    """

    about: str
    licence: str
    source: Source
    documents: int | None = None
    encoder: str = "minilm"

    def cached(self, name: str) -> Path:
        """Where its BEIR folder is kept, once it has been opened."""
        return cache_folder() / "data" / f"{name}-{self.source.key(name)}".replace("/", "-")

    def folder(self, name: str) -> Path:
        """Its BEIR folder, made first when there is none yet."""
        make_whole(self.cached(name), partial(self.source.write, name))
        return self.cached(name)


CATALOGUE: Mapping[str, Entry] = {
    "icon-names": Entry(
        about="names of Lucide icons, asked for by the tags that people gave them",
        licence="ISC",
        source=Packages("icon_names", ("python-lucide",), revision=1),
    ),
    "apidocs": Entry(
        about="functions and classes of five Python libraries, asked for by sentences that describe them",
        licence="BSD-3-Clause",
        source=Packages("apidocs", ("numpy", "scipy", "pandas", "scikit-learn", "networkx"), revision=1),
    ),
    **{
        f"beir/{name}": Entry(
            about=found.about,
            licence=found.licence,
            source=Archive(beir_sets.URL.format(name.partition("/")[0]), found.md5, inside=name),
            documents=found.documents,
        )
        for name, found in beir_sets.SETS.items()
    },
    **{
        f"paper/{name}": Entry(about=found.about, licence=found.licence, source=Hub(paper_sets.REPOSITORY.format(name)))
        for name, found in paper_sets.SETS.items()
    },
}


def entry(name: str) -> Entry:
    """The entry of a data set of the catalogue, or of a task of mteb.

    Raises:
        UnknownName: when mteb has no such task.
        BadInput: when mteb is not installed, or cannot be asked for that task.
    """
    if not name.startswith(MTEB):
        return CATALOGUE[name]
    task = MtebTask.named(name)
    return Entry(task.about, task.licence, task, encoder="clip-b32" if task.pictures else "minilm")


def check_dataset_name(name: str) -> None:
    """Raises `methods.UnknownName`, with the nearest name, when no data set is called so.

    Whether mteb has a task of that name is seen when it is opened, for to import mteb takes seconds.
    """
    if not name.startswith((FOLDER, MTEB)) and name not in CATALOGUE:
        raise nearest_name("data set", name, [*CATALOGUE, f"{FOLDER}PATH", f"{MTEB}TASK"])


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
        return replace(read_folder(Path(name.removeprefix(FOLDER)), limit), name=name)
    asked = entry(name)
    folder = asked.folder(name)
    dataset = read_folder(folder, limit)
    if asked.documents not in {None, len(dataset.documents)}:
        raise BadInput(f"{name}: {len(dataset.documents):,} documents instead of {asked.documents:,}; delete {folder}")
    return replace(dataset, name=name)
