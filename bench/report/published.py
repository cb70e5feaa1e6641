"""What papers report, beside what was measured."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.names import METRICS
from bench.report.board import Board
from bench.report.entrants import Setting
from bench.report.factors import Factor

PUBLISHED = Path(__file__).with_name("published.toml")


class Published(BaseModel):
    """One table of a source.

    Attributes:
        source: where it stands.
        datasets: what each of its figures is an average over.
        metrics: its columns.
        figures: encoder → label of the method → a fraction for each metric.
        notes: under which conditions, besides the official split and all queries.
        unmatched: why no cell of ours is one of these; names of data sets, encoders, methods and metrics are then the
            source's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    datasets: tuple[str, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = Field(min_length=1)
    figures: dict[str, dict[str, tuple[Annotated[float, Field(ge=0, le=1)], ...]]]
    notes: str = ""
    unmatched: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for rows in self.figures.values():
            for method, values in rows.items():
                if len(values) != len(self.metrics):
                    raise ValueError(f"{method}: {len(values)} figures for {len(self.metrics)} metrics")
        if not self.unmatched and (others := set(self.metrics) - set(METRICS)):
            raise ValueError(f"no metrics of ours: {', '.join(sorted(others))}")
        return self


class PublishedFile(BaseModel):
    """The tables and the factors."""

    model_config = ConfigDict(extra="forbid")

    tables: tuple[Published, ...]
    factors: tuple[Factor, ...]


@cache
def published() -> PublishedFile:
    """What stands in `published.toml`."""
    return PublishedFile.model_validate(tomllib.loads(PUBLISHED.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Compared:
    """A published figure beside what was measured for it under one setting.

    Attributes:
        table: where the figure stands.
        setting: what the boards that were averaged share; its `dataset` is the table's, joined by spaces, and its
            `fingerprint` is empty.
        method: its label.
        metric: its name.
        published: the figure.
        by_dataset: the means over the seeds, without the data sets that have none.
    """

    table: Published
    setting: Setting
    method: str
    metric: str
    published: float
    by_dataset: dict[str, float]

    @property
    def missing(self) -> tuple[str, ...]:
        """The data sets on which the method has no complete row."""
        return tuple(name for name in self.table.datasets if name not in self.by_dataset)

    @property
    def measured(self) -> float | None:
        """The average over the data sets; None while one is missing."""
        return None if self.missing else mean(self.by_dataset.values())

    @property
    def difference(self) -> float | None:
        """What was measured less what was published."""
        return None if self.measured is None else self.measured - self.published


def compare_published(boards: Sequence[Board]) -> list[Compared]:
    """Looks for cells behind the published figures; those without any are left out.

    Boards of the official split and of all queries count, and are averaged when nothing but the data set tells them
    apart. A data set of which there are two versions counts as missing: nothing says which of them is meant.
    """
    groups: dict[Setting, list[Board]] = defaultdict(list)
    for board in boards:
        if board.setting.split == "official" and board.setting.limit is None:
            groups[replace(board.setting, dataset="", fingerprint="")].append(board)
    found = [
        Compared(
            table=table,
            setting=replace(setting, dataset=" ".join(table.datasets)),
            method=method,
            metric=metric,
            published=value,
            by_dataset=_by_dataset(group, table.datasets, method, metric),
        )
        for setting, group in groups.items()
        for table in published().tables
        if not table.unmatched
        for method, values in table.figures.get(setting.encoder, {}).items()
        for metric, value in zip(table.metrics, values, strict=True)
    ]
    return [figure for figure in found if figure.by_dataset]


def _by_dataset(boards: Sequence[Board], datasets: Sequence[str], method: str, metric: str) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for board in boards:
        for row in board.rows:
            if row.method == method and row.figures and metric in row.figures.means:
                values[board.setting.dataset].append(row.figures.means[metric])
    return {name: values[name][0] for name in datasets if len(values[name]) == 1}
