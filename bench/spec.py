"""A suite, written in TOML or on the command line, unfolds into cells."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from bench.errors import BadInput
from bench.words import cell_name
from methods import label, nearest_name, origins, parse, with_trials

SUITES = Path(__file__).parent / "suites"
Names = tuple[str, ...]
SomeNames = Annotated[Names, Field(min_length=1)]
T = TypeVar("T")
Kind = tuple[str, str, str]  # data set, encoder, method: cells that differ by their seeds take about as long
ByDataset = Annotated[  # tagged, so that an error is about the one of the two that was written
    Annotated[T, Tag("list")] | Annotated[dict[str, T], Tag("table")],
    Discriminator(lambda written: "table" if isinstance(written, dict) else "list"),
]


class Suite(BaseModel):
    """What to compare.

    Attributes:
        name: of the suite; results go to `results/local/<name>` by default.
        about: one line for `tunebench list suites`.
        datasets: names of the data catalogue, or `folder:PATH`.
        encoders: names of the encoder catalogue, for all data sets or, in a table, for each that it names; a data set
            without any has its own.
        methods: as `methods.parse` reads them, for all data sets or, in a table, for each of them.
        seeds: each drives the split and the method.
        split: "default" is official where the data set has it, random otherwise.
        limit: at the most so many judged queries of a data set; None keeps all.
        tune: each method that has something to search stands there a second time, tuned by so many trials.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: str = ""
    datasets: SomeNames
    encoders: ByDataset[Names] = ()
    methods: ByDataset[SomeNames]
    seeds: tuple[int, ...] = Field(min_length=1)
    split: Literal["default", "official", "random", "grouped"] = "default"
    limit: int | None = Field(default=None, ge=10)
    tune: int | None = Field(default=None, ge=2)

    def cells(self, default_encoder: Callable[[str], str]) -> Iterator[Cell]:
        """Unfolds the suite, so that cells that share data and encoder follow one another.

        Raises:
            BadInput: when the table of methods lacks a data set.
        """
        for dataset in dict.fromkeys(self.datasets):
            for encoder in dict.fromkeys(self.encoders_of(dataset) or (default_encoder(dataset),)):
                for seed in dict.fromkeys(self.seeds):
                    for method in dict.fromkeys(chain.from_iterable(self.rows(dataset).items())):
                        yield Cell(dataset, encoder, method, seed, self.split, self.limit)

    def origins(self) -> dict[str, str]:
        """Where the methods come from that are not tunebench's own."""
        named = {method for dataset in self.datasets for method in self.methods_of(dataset)}
        return {name: origin for method in sorted(named) for name, origin in origins(method).items()}

    def rows(self, dataset: str) -> dict[str, str]:
        """The canonical string of each method on a data set, and that of its tuned row: the same without one.

        Raises:
            BadInput: when the table of methods lacks the data set.
        """
        methods = [parse(method) for method in self.methods_of(dataset)]
        return {label(method): label(with_trials(method, self.tune or 0)) for method in methods}

    def encoders_of(self, dataset: str) -> Names:
        """The encoders that are asked for on a data set."""
        return self.encoders.get(dataset, ()) if isinstance(self.encoders, dict) else self.encoders

    def methods_of(self, dataset: str) -> Names:
        """The methods that are compared on a data set.

        Raises:
            BadInput: when they are in a table that lacks it.
        """
        if not isinstance(self.methods, dict):
            return self.methods
        if dataset not in self.methods:
            raise BadInput(f"{self.name}: methods: none for {dataset}; add it to the table, or pass --methods")
        return self.methods[dataset]


@dataclass(frozen=True)
class Cell:
    """One method on one data set with one encoder and one seed; `method` is the canonical string."""

    dataset: str
    encoder: str
    method: str
    seed: int
    split: Literal["default", "official", "random", "grouped"]
    limit: int | None

    @property
    def kind(self) -> Kind:
        """What cells of other seeds share with it."""
        return self.dataset, self.encoder, self.method

    def __str__(self) -> str:
        return cell_name(self.kind, self.seed)


def suite_names() -> list[str]:
    """The suites that come with tunebench."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def read_suite(name_or_path: str) -> Suite:
    """Reads a suite by its name, or from a TOML file.

    Raises:
        UnknownName: when there is neither.
        BadInput: when the file is not a suite.
    """
    path = SUITES / f"{name_or_path}.toml" if name_or_path in suite_names() else Path(name_or_path)
    if not path.is_file():
        raise nearest_name("suite", name_or_path, [*suite_names(), "FILE.toml"])
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not valid TOML ({error})") from None
    return make_suite(str(path), {"name": path.stem, **written})


def make_suite(where: str, written: dict[str, object]) -> Suite:
    """Checks a suite; `where` names its source in an error.

    Raises:
        BadInput: for a field that is unknown, missing or of another type.
        UnknownName: for an unknown field's nearest name.
    """
    for key in written:
        if key not in Suite.model_fields:
            raise BadInput(f"{where}: {nearest_name('field', key, Suite.model_fields)}")
    try:
        return Suite.model_validate(written)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadInput(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
