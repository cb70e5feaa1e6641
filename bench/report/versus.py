"""Two methods of a results folder against each other: overall, by what train queries have told, query by query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.errors import BadInput
from bench.overlap import Overlap
from bench.record import Results
from bench.report.board import SUBSETS
from bench.report.difference import Difference, by_query, corrected, measure, read_pairs
from bench.report.entrants import Entrant, Setting, by_setting, entrants
from bench.report.paired import test_to_train
from methods import nearest_name

OVERALL = "overall"
_SHOWN = 5  # queries at either end


@dataclass(frozen=True)
class Query:
    """A test query and its NDCG@10 by both methods, averaged over the `seeds` that tested it."""

    id: str
    first: float
    second: float
    seeds: int


@dataclass(frozen=True)
class Versus:
    """Two methods on one board.

    Attributes:
        setting: the board's.
        seeds: over which both are complete.
        parts: differences, "overall" first, then by name of `SUBSETS` without those that are empty; Holm's family
            are the parts of this board.
        changed: the queries that the first method raises most over the second, then those that it lowers most, the
            most lowered last.
    """

    setting: Setting
    seeds: tuple[int, ...]
    parts: dict[str, Difference]
    changed: tuple[Query, ...]


def compare_methods(folder: Path, first: str, second: str) -> tuple[list[Versus], list[Setting]]:
    """Compares two methods, named by their labels, on every board of a results folder where both are complete.

    Returns:
        The comparisons, and the settings of boards that have both methods, but not over all seeds.

    Raises:
        UnknownName: for a label that no board has, with the nearest that one has.
        BadInput: when no board has both complete, and for what `read_pairs` refuses.
    """
    results = Results(folder)
    boards = {setting: entrants(records)[0] for setting, records in by_setting(results.records()).items()}
    known = {entrant.label for found in boards.values() for entrant in found}
    for label in (first, second):
        if label not in known:
            raise nearest_name("method", label, known)
    if first == second:
        raise BadInput(f"{first} is named twice; name two methods")
    compared, gaps = [], []
    for setting, found in boards.items():
        named = {entrant.label: entrant for entrant in found}
        if first in named and second in named:
            seeds = {record.seed for entrant in found for record in entrant.cells}
            if all(named[label].done.keys() == seeds for label in (first, second)):
                compared.append(_versus(results, setting, named[first], named[second]))
            else:
                gaps.append(setting)
    if not compared:
        raise BadInput(f"{folder}: no board has both {first} and {second} complete; `tunebench report {folder}` shows")
    return compared, gaps


def _versus(results: Results, setting: Setting, first: Entrant, second: Entrant) -> Versus:
    cells = [((results, record), (results, second.done[seed])) for seed, record in first.done.items()]
    pairs = read_pairs(cells, "seen_fraction", "nearest")
    ratio = 0.0 if setting.split == "official" else test_to_train(list(first.done.values()))
    parts = {OVERALL: measure(pairs, ratio)}
    parts |= {name: measure(part, ratio, pooled=True) for name, part in _subsets(pairs)}
    return Versus(
        setting=setting,
        seeds=tuple(first.done),
        parts=dict(zip(parts, corrected(list(parts.values())), strict=True)),
        changed=_changed(pairs),
    )


def _subsets(pairs: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    told = Overlap(pairs["seen_fraction"].to_numpy(), pairs["nearest"].to_numpy())
    bucket = np.array(told.buckets, dtype=object)
    for name in SUBSETS:
        chosen = told.seen if name == "seen" else bucket == name
        if chosen.any():
            yield name, pairs.filter(pa.array(chosen))


def _changed(pairs: pa.Table) -> tuple[Query, ...]:
    queries = [
        Query(id=row["query_id"], first=row["first_mean"], second=row["second_mean"], seeds=row["seed_count"])
        for row in by_query(pairs).to_pylist()
    ]
    # Among equals the one that more seeds tested.
    higher = sorted(queries, key=lambda query: (query.second - query.first, -query.seeds, query.id))[:_SHOWN]
    lower = sorted(queries, key=lambda query: (query.first - query.second, -query.seeds, query.id))[:_SHOWN]
    return (
        *(query for query in higher if query.first > query.second),
        *(query for query in reversed(lower) if query.first < query.second),
    )
