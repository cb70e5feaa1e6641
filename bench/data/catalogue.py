"""Data sets by name: an entry here is all that a new embedded one needs, besides its extractor."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from bench.cache import cache_folder
from bench.data._installed import installed_versions
from bench.data.dataset import Dataset, Extraction
from bench.data.folder import read_folder, write_folder
from methods import nearest_name

FOLDER = "folder:"


@dataclass(frozen=True)
class Entry:
    """A data set that installed packages carry.

    Attributes:
        about: what a document, a query and a judgement are, in one line.
        licence: of the texts.
        module: the module of `bench.data` whose `extract()` takes it out of the packages.
        packages: the distributions whose versions decide what comes out.
        revision: raised whenever the extractor's result changes.
        encoder: the default one.
    """

    about: str
    licence: str
    module: str
    packages: tuple[str, ...]
    revision: int
    encoder: str = "minilm"


CATALOGUE: Mapping[str, Entry] = {
    "icon-names": Entry(
        about="names of Lucide icons, asked for by the tags that people gave them",
        licence="ISC",
        module="icon_names",
        packages=("python-lucide",),
        revision=1,
    ),
    "apidocs": Entry(
        about="functions and classes of five Python libraries, asked for by sentences that describe them",
        licence="BSD-3-Clause",
        module="apidocs",
        packages=("numpy", "scipy", "pandas", "scikit-learn", "networkx"),
        revision=1,
    ),
}


def check_dataset_name(name: str) -> None:
    """Raises `methods.UnknownName`, with the nearest name, when no data set is called so."""
    if not name.startswith(FOLDER) and name not in CATALOGUE:
        raise nearest_name("data set", name, [*CATALOGUE, f"{FOLDER}PATH"])


def default_encoder(name: str) -> str:
    """The encoder that a data set is searched with when none is asked for."""
    return "minilm" if name.startswith(FOLDER) else CATALOGUE[name].encoder


def open_dataset(name: str, limit: int | None = None) -> Dataset:
    """Loads a data set.

    Args:
        name: of the catalogue, or `folder:PATH`.
        limit: at the most so many judged queries are kept, chosen by a hash of their ids; the corpus stays whole.

    Raises:
        BadInput: when it cannot be read, or its packages are not installed.
    """
    folder = Path(name.removeprefix(FOLDER)) if name.startswith(FOLDER) else _extracted(name, CATALOGUE[name])
    dataset = read_folder(folder, limit)
    return replace(dataset, name=name)


def _extracted(name: str, entry: Entry) -> Path:
    """The cached BEIR folder of an entry, made first when these package versions have none yet."""
    made_from = json.dumps([entry.revision, installed_versions(name, entry.packages)])
    key = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    folder = cache_folder() / "data" / f"{name}-{key}"
    if not folder.exists():
        extract: Callable[[], Extraction] = import_module(f"bench.data.{entry.module}").extract
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{name}-"))
        try:
            write_folder(unfinished, extract())
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():  # Another run may have finished it meanwhile; then theirs is as good.
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder
