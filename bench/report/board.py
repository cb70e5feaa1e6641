"""Records → boards: one table for each setting, with its ranks, gaps and verdicts, as numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.names import BUCKETS, MAIN
from bench.record import Record, Results
from bench.report.entrants import Entrant, Setting, entrants
from bench.report.paired import compare_rows
from bench.report.significance import Comparison, t_half_width

BASELINE = "none"
NEAREST = ("unseen", "<.6", ".6-.8", ".8-.9", ">.9")
SUBSETS = ("seen", *BUCKETS)
Mark = Literal["winner", "tied", ""]


@dataclass(frozen=True)
class Subset:
    """Some of the test queries, pooled over the seeds: how many they are, and their mean NDCG@10."""

    queries: int
    ndcg: float


@dataclass(frozen=True)
class Figures:
    """What a complete row reached.

    Attributes:
        means: every metric, averaged over the seeds.
        by_seed: NDCG@10 of each of the board's seeds, in their order.
        half_width: of the 95 % t-interval of the mean NDCG@10 over seeds; None for a single seed.
        subsets: by name of `SUBSETS`, without those that are empty. Seen queries have a relevant document with a
            train query, and fall into buckets by the cosine of the nearest such train query.
        fit_seconds: averaged over the seeds; None when a cell did not tell.
    """

    means: dict[str, float]
    by_seed: tuple[float, ...]
    half_width: float | None
    subsets: dict[str, Subset]
    fit_seconds: float | None


@dataclass(frozen=True)
class Against:
    """A complete row against a complete baseline.

    Attributes:
        gain: difference of the mean NDCG@10.
        ratio: the gain as a part of the baseline's; None when that is zero.
        sign: 1 when significantly above, -1 when significantly below, else 0.
        p: test name → the raw p-value and the one after Holm.
    """

    gain: float
    ratio: float | None
    sign: int
    p: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Row:
    """One method of a board.

    Attributes:
        method: its label.
        done: on how many of the board's seeds it has scores.
        figures: None when that is not all of them.
        mark: `winner`, `tied` with the best row (which carries it too), or nothing.
        against: None for the baseline itself, for a gap, and where the baseline is missing or a gap.
    """

    method: str
    done: int
    figures: Figures | None
    mark: Mark
    against: Against | None


@dataclass(frozen=True)
class Remark:
    """Why cells of one method have no scores, or what should be known of those that have."""

    method: str
    status: str
    text: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Board:
    """One table.

    Attributes:
        setting: what its cells share.
        seeds: all that any of its rows knows.
        counts: name → the lowest and the highest over the cells.
        rows: complete ones by mean NDCG@10, the highest first, then the gaps by label.
        comparison: between the complete rows, in their order; None when they are fewer than two.
        remarks: on failed and skipped cells, and others that have notes.
        replaced: label → number of cells left out because a newer version of the method is there.
        changes: label → seed → the file of what that cell has changed, which need not be there.
    """

    setting: Setting
    seeds: tuple[int, ...]
    counts: dict[str, tuple[int, int]]
    rows: tuple[Row, ...]
    comparison: Comparison | None
    remarks: tuple[Remark, ...]
    replaced: dict[str, int]
    changes: dict[str, dict[int, Path]]


def load_boards(folder: Path) -> list[Board]:
    """Reads a results folder into boards, sorted by what they are about.

    Raises:
        BadInput: when there are no records, one cannot be read, or methods of one board and seed were scored on
            different queries.
    """
    results = Results(folder)
    settings: dict[Setting, list[Record]] = defaultdict(list)
    for record in results.records():
        settings[Setting.of(record)].append(record)
    return [_board(results, setting, settings[setting]) for setting in sorted(settings, key=lambda s: s.order)]


def _board(results: Results, setting: Setting, records: Sequence[Record]) -> Board:
    found, replaced = entrants(records)
    seeds = tuple(sorted({record.seed for entrant in found for record in entrant.cells}))
    complete = [(entrant, _figures(entrant)) for entrant in found if len(entrant.done) == len(seeds)]
    complete.sort(key=lambda pair: (-pair[1].means[MAIN], pair[0].label))
    comparison = compare_rows(results, setting, [entrant for entrant, _ in complete]) if len(complete) > 1 else None
    figures = {entrant.label: row for entrant, row in complete}
    gaps = [Row(e.label, len(e.done), None, "", None) for e in found if e.label not in figures]
    return Board(
        setting=setting,
        seeds=seeds,
        counts=_counts(found),
        rows=(*_ranked(figures, len(seeds), comparison), *gaps),
        comparison=comparison,
        remarks=_remarks(found),
        replaced=replaced,
        changes={e.label: {seed: results.changes(record) for seed, record in e.done.items()} for e in found},
    )


def _figures(entrant: Entrant) -> Figures:
    records = list(entrant.done.values())
    metrics = [_with_buckets(record.metrics) for record in records]
    scalars = [name for name, value in metrics[0].items() if isinstance(value, float)]
    over_seeds = {name: np.array([cell[name] for cell in metrics]) for name in scalars}
    subsets = {name: _pooled([cell.get(name, {}) for cell in metrics]) for name in SUBSETS}
    seconds = [record.fit_seconds for record in records if record.fit_seconds is not None]
    return Figures(
        means={name: float(values.mean()) for name, values in over_seeds.items()},
        by_seed=tuple(over_seeds[MAIN].tolist()),
        half_width=t_half_width(over_seeds[MAIN]),
        subsets={name: subset for name, subset in subsets.items() if subset},
        fit_seconds=float(np.mean(seconds)) if len(seconds) == len(records) else None,
    )


def _with_buckets(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {**metrics, **metrics.get("nearest", {})}


def _pooled(cells: Sequence[dict[str, float]]) -> Subset | None:
    # The size of a subset changes with the seed, and may be zero: its queries weigh alike, not its seeds.
    cells = [cell for cell in cells if cell.get("queries")]
    queries = sum(cell["queries"] for cell in cells)
    return Subset(int(queries), sum(cell[MAIN] * cell["queries"] for cell in cells) / queries) if cells else None


def _counts(found: Sequence[Entrant]) -> dict[str, tuple[int, int]]:
    values: dict[str, list[int]] = defaultdict(list)
    for entrant in found:
        for record in entrant.done.values():
            for name, value in record.counts.items():
                values[name].append(value)
    return {name: (min(each), max(each)) for name, each in sorted(values.items())}


def _ranked(figures: dict[str, Figures], seeds: int, comparison: Comparison | None) -> list[Row]:
    """The complete rows; `figures` and `comparison` come in their order, the best first."""
    rows = []
    for rank, (label, row) in enumerate(figures.items()):
        mark = _mark(comparison, rank) if comparison else ""
        against = _against(figures, comparison, rank) if comparison else None
        rows.append(Row(label, seeds, row, mark, against))
    return rows


def _mark(comparison: Comparison, rank: int) -> Mark:
    if comparison.better[0, 1]:
        return "winner" if rank == 0 else ""
    return "" if comparison.better[0, rank] else "tied"


def _against(figures: dict[str, Figures], comparison: Comparison, rank: int) -> Against | None:
    labels = list(figures)
    if BASELINE not in figures or labels[rank] == BASELINE:
        return None
    none = labels.index(BASELINE)
    level = figures[BASELINE].means[MAIN]
    gain = figures[labels[rank]].means[MAIN] - level
    return Against(
        gain=gain,
        ratio=gain / level if level else None,
        sign=int(comparison.better[rank, none]) - int(comparison.better[none, rank]),
        p={name: (float(p.raw[rank, none]), float(p.holm[rank, none])) for name, p in comparison.tests.items()},
    )


def _remarks(found: Sequence[Entrant]) -> tuple[Remark, ...]:
    seeds: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for entrant in found:
        for record in entrant.cells:
            lost = [] if record.status == "ok" else [record.reason or "no reason given"]
            for text in (*lost, *record.notes):
                seeds[entrant.label, record.status, text].append(record.seed)
    return tuple(Remark(*what, tuple(cells)) for what, cells in seeds.items())
