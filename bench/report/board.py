"""Records → boards: one table for each setting, with its ranks, gaps and verdicts, as numbers."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.decision import Decision, read_decisions
from bench.names import BASELINE, BUCKETS, MAIN
from bench.record import Record, Results, cell_id
from bench.report.encodes import Encodes
from bench.report.entrants import Entrant, Setting, by_setting, entrants
from bench.report.paired import Paired, pair_rows
from bench.report.significance import Comparison, FloatArray, clustered_half_width, compare, t_half_width

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
        half_width: of the 95 % t-interval of the mean NDCG@10 over seeds: what other seeds would give on the same
            data; None for a single seed.
        query_half_width: of its 95 % interval over clusters of queries: what other queries would give with the same
            seeds; None for a single cluster.
        subsets: by name of `SUBSETS`, without those that are empty. Seen queries have a relevant document with a
            train query, and fall into buckets by the cosine of the nearest such train query.
        fit_seconds: averaged over the seeds; None when a cell did not tell.
        encodes: of documents while training; None when a cell did not count them.
    """

    means: dict[str, float]
    by_seed: tuple[float, ...]
    half_width: float | None
    query_half_width: float | None
    subsets: dict[str, Subset]
    fit_seconds: float | None
    encodes: Encodes | None


@dataclass(frozen=True)
class Against:
    """A complete row against a complete baseline.

    Attributes:
        gain: difference of the mean NDCG@10.
        half_width: of the gain's interval over seeds, as that of `Figures`.
        query_half_width: of the gain's interval over clusters of queries.
        ratio: the gain as a part of the baseline's; None when that is zero.
        sign: 1 when significantly above, -1 when significantly below, else 0.
        p: test name → the raw p-value and the one after Holm.
    """

    gain: float
    half_width: float | None
    query_half_width: float | None
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
        decision: what to ship; None until it is decided from these very cells.
    """

    setting: Setting
    seeds: tuple[int, ...]
    counts: dict[str, tuple[int, int]]
    rows: tuple[Row, ...]
    comparison: Comparison | None
    remarks: tuple[Remark, ...]
    replaced: dict[str, int]
    changes: dict[str, dict[int, Path]]
    decision: Decision | None = None

    @property
    def complete(self) -> dict[str, Figures]:
        """The figures of the complete rows, by label, in their order."""
        return {row.method: row.figures for row in self.rows if row.figures}


def load_boards(folder: Path) -> list[Board]:
    """Reads a results folder into boards, sorted by what they are about.

    Raises:
        BadInput: when there are no records, one cannot be read, or methods of one board and seed were scored on
            different queries.
    """
    results = Results(folder)
    decided = {decision.cells: decision for decision in read_decisions(folder)}
    return [
        replace(make_board(results, setting, records), decision=decided.get(cells_digest(records)))
        for setting, records in by_setting(results.records()).items()
    ]


def cells_digest(records: Sequence[Record]) -> str:
    """What tells whether a board's cells are those that something was decided from."""
    cells = sorted(f"{cell_id(record.identity)} {record.status} {record.metrics.get(MAIN)}" for record in records)
    return hashlib.sha256("\n".join(cells).encode()).hexdigest()


def make_board(results: Results, setting: Setting, records: Sequence[Record]) -> Board:
    """One board, of the records of one setting.

    Raises:
        BadInput: when scores are missing, or methods of one seed were scored on different queries.
    """
    found, replaced = entrants(records)
    seeds = tuple(sorted({record.seed for entrant in found for record in entrant.cells}))
    complete = sorted((entrant for entrant in found if len(entrant.done) == len(seeds)), key=_order)
    gaps = [Row(e.label, len(e.done), None, "", None) for e in found if len(e.done) < len(seeds)]
    rows, comparison = _ranked(complete, pair_rows(results, setting, complete)) if complete else ([], None)
    return Board(
        setting=setting,
        seeds=seeds,
        counts=_counts(found),
        rows=(*rows, *gaps),
        comparison=comparison,
        remarks=_remarks(found),
        replaced=replaced,
        changes={e.label: {seed: results.changes(record) for seed, record in e.done.items()} for e in found},
    )


def _order(entrant: Entrant) -> tuple[float, str]:
    return -float(np.array([record.metrics[MAIN] for record in entrant.done.values()]).mean()), entrant.label


def _figures(entrant: Entrant, query_half_width: float | None) -> Figures:
    records = list(entrant.done.values())
    metrics = [_with_buckets(record.metrics) for record in records]
    scalars = [name for name, value in metrics[0].items() if isinstance(value, float)]
    over_seeds = {name: np.array([cell[name] for cell in metrics]) for name in scalars}
    subsets = {name: _pooled([cell.get(name, {}) for cell in metrics]) for name in SUBSETS}
    return Figures(
        means={name: float(values.mean()) for name, values in over_seeds.items()},
        by_seed=tuple(over_seeds[MAIN].tolist()),
        half_width=t_half_width(over_seeds[MAIN]),
        query_half_width=query_half_width,
        subsets={name: subset for name, subset in subsets.items() if subset},
        fit_seconds=mean_if_known([record.fit_seconds for record in records]),
        encodes=Encodes.of(records),
    )


def mean_if_known(values: Sequence[float | None]) -> float | None:
    """The mean; None when one of the values is not known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


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


def _ranked(complete: Sequence[Entrant], paired: Paired) -> tuple[list[Row], Comparison | None]:
    """The complete rows and what the tests say about them; `paired` has their order, the best first."""
    labels = [entrant.label for entrant in complete]
    comparison = None
    if len(labels) > 1:
        comparison = compare(paired.query_scores, paired.clusters, paired.seed_scores, paired.test_to_train)
    rows = []
    for rank, entrant in enumerate(complete):
        figures = _figures(entrant, _over_queries(paired, paired.query_scores[:, rank]))
        mark = _mark(comparison, rank) if comparison else ""
        against = _against(labels, paired, comparison, rank) if comparison else None
        rows.append(Row(entrant.label, len(entrant.done), figures, mark, against))
    return rows, comparison


def _over_queries(paired: Paired, values: FloatArray) -> float | None:
    # A query weighs by the seeds that tested it, as in the mean over the seeds.
    return clustered_half_width(values, paired.tested, paired.clusters)


def _mark(comparison: Comparison, rank: int) -> Mark:
    if comparison.better[0, 1]:
        return "winner" if rank == 0 else ""
    return "" if comparison.better[0, rank] else "tied"


def _against(labels: Sequence[str], paired: Paired, comparison: Comparison, rank: int) -> Against | None:
    if BASELINE not in labels or labels[rank] == BASELINE:
        return None
    none = labels.index(BASELINE)
    seed_gains, query_gains = (
        scores[:, rank] - scores[:, none] for scores in (paired.seed_scores, paired.query_scores)
    )
    mean, level = (float(paired.seed_scores[:, row].mean()) for row in (rank, none))
    gain = mean - level
    return Against(
        gain=gain,
        half_width=t_half_width(seed_gains),
        query_half_width=_over_queries(paired, query_gains),
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
