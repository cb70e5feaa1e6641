"""Two cells' scores of the same test queries, lined up, and what the difference between them is worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from bench.errors import BadInput
from bench.names import MAIN
from bench.record import Record, Results
from bench.report.paired import ENOUGH_SPLITS, codes, read_scores
from bench.report.significance import (
    LEVEL,
    TESTS,
    clustered_half_width,
    corrected_resampled_t_test,
    holm,
    sign_flip_test,
    t_half_width,
)

Cell = tuple[Results, Record]
_BOTH = ("first", "second")


@dataclass(frozen=True)
class Difference:
    """The scores of two methods, or of two versions of one, on the same test queries.

    Attributes:
        queries: how many test queries, all seeds together.
        clusters: in how many clusters.
        first: mean NDCG@10 of the first.
        second: of the second.
        over_queries: half the width of the 95 % interval of the mean difference over clusters of queries; None for
            a single cluster.
        over_seeds: the same over seeds, whose splits may overlap; None for a single seed.
        direction: 1 when the first is higher, both over queries and over seeds; -1 when it is lower; else 0.
        p: test name → raw p-value; one that is not there does not apply.
        holm: the same after Holm over all differences of a table.
    """

    queries: int
    clusters: int
    first: float
    second: float
    over_queries: float | None
    over_seeds: float | None
    direction: int
    p: dict[str, float]
    holm: dict[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The first less the second."""
        return self.first - self.second

    @property
    def sign(self) -> int:
        """The direction, when every test that applies is significant after Holm; else 0."""
        return self.direction if max(self.holm.values(), default=1.0) < LEVEL else 0


def read_pairs(cells: Iterable[tuple[Cell, Cell]], *more: str) -> pa.Table:
    """The scores of pairs of cells, a row a test query and seed.

    Returns:
        The columns query_id, cluster, seed, "first", "second", and `more` of the first cells.

    Raises:
        BadInput: when scores are missing or damaged, or two cells were scored on different queries.
    """
    tables = []
    for (results, record), other in cells:
        first, second = (
            table.sort_by("query_id") for table in (read_scores(results, record, *more), read_scores(*other))
        )
        if not first["query_id"].equals(second["query_id"]):
            path = other[0].per_query(other[1])
            raise BadInput(
                f"{path}: scored on other queries than {results.per_query(record)}; run one of the two cells again "
                "with --overwrite always"
            )
        about = first.select(["query_id", "cluster", *more])
        seed = pa.repeat(record.seed, len(first))
        columns = zip(("seed", *_BOTH), (seed, first[MAIN], second[MAIN]), strict=True)
        for name, column in columns:
            about = about.append_column(name, column)
        tables.append(about)
    return pa.concat_tables(tables)


def by_query(pairs: pa.Table) -> pa.Table:
    """The means over the seeds, a row a query: query_id, first_mean, second_mean, cluster_first, seed_count."""
    means = [(name, "mean") for name in _BOTH]
    return pairs.group_by("query_id", use_threads=False).aggregate([*means, ("cluster", "first"), ("seed", "count")])


def measure(pairs: pa.Table, test_to_train: float, *, pooled: bool = False, family: int = 0) -> Difference:
    """Measures one difference between scores lined up by `read_pairs`.

    Args:
        pairs: one row or more.
        test_to_train: test queries for each train query of resampled splits; zero for others.
        pooled: whether a mean weighs all queries alike, as that of a subset does, or all seeds.
        family: how many tests Holm will correct for.
    """
    queries, seeds = by_query(pairs), pairs.group_by("seed", use_threads=False).aggregate([(n, "mean") for n in _BOTH])
    query_scores, seed_scores = (_scores(table, *(f"{name}_mean" for name in _BOTH)) for table in (queries, seeds))
    clusters = codes(queries["cluster_first"])
    p = {"permutation": sign_flip_test(query_scores, clusters, family).item()}
    if test_to_train and len(seed_scores) >= ENOUGH_SPLITS:
        p["resampled_t"] = corrected_resampled_t_test(seed_scores, test_to_train).item()
    first, second = (_scores(pairs, *_BOTH) if pooled else seed_scores).mean(0).tolist()
    of_queries, of_seeds = (-np.diff(scores)[:, 0] for scores in (query_scores, seed_scores))
    over = int(np.sign(of_queries.mean()))
    return Difference(
        queries=len(pairs),
        clusters=len(np.unique(clusters)),
        first=first,
        second=second,
        over_queries=clustered_half_width(of_queries, queries["seed_count"].to_numpy(), clusters),
        over_seeds=t_half_width(of_seeds, test_to_train=test_to_train),
        direction=over if over == np.sign(of_seeds.mean()) else 0,
        p=p,
    )


def corrected(differences: Sequence[Difference]) -> list[Difference]:
    """The same with the p-values of each test after Holm over all of them that have it."""
    adjusted: list[dict[str, float]] = [{} for _ in differences]
    for test in TESTS:
        having = [row for row, difference in enumerate(differences) if test in difference.p]
        for row, p in zip(having, holm(np.array([differences[row].p[test] for row in having])), strict=True):
            adjusted[row][test] = float(p)
    return [replace(difference, holm=p) for difference, p in zip(differences, adjusted, strict=True)]


def _scores(table: pa.Table, *names: str) -> np.ndarray:
    return np.column_stack([table[name].to_numpy() for name in names])
