"""The rows of one board, lined up query by query and seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import BadInput
from bench.names import MAIN
from bench.record import Record, Results
from bench.report.entrants import Entrant, Setting
from bench.report.significance import FloatArray, IntArray

ENOUGH_SPLITS = 5  # below it the t-test has too few degrees of freedom to find anything after Holm


@dataclass(frozen=True)
class Paired:
    """The NDCG@10 of m rows.

    Attributes:
        seed_scores: (seeds, m) the mean over the test queries of each seed.
        query_scores: (queries, m) each query's score, averaged over the seeds that tested it.
        tested: (queries,) by how many seeds.
        clusters: (queries,) the number of each query's cluster.
        test_to_train: test queries for each train query of the resampled splits; None where the splits are not
            resampled or too few for the corrected resampled t-test.
    """

    seed_scores: FloatArray
    query_scores: FloatArray
    tested: IntArray
    clusters: IntArray
    test_to_train: float | None


def pair_rows(results: Results, setting: Setting, rows: Sequence[Entrant]) -> Paired:
    """Lines up one or more rows that are complete over the same seeds.

    Raises:
        BadInput: when the rows were not scored on the same queries.
    """
    cells = [list(row.done.values()) for row in rows]
    seed_scores = np.array([[record.metrics[MAIN] for record in row] for row in cells], np.float64).T
    resampled = setting.split != "official" and len(seed_scores) >= ENOUGH_SPLITS
    ratio = test_to_train(cells[0]) if resampled else None
    return Paired(seed_scores, *_query_scores(results, setting, rows), ratio)


def test_to_train(cells: Sequence[Record]) -> float:
    """Test queries for each train query of these cells' splits."""
    return sum(c.counts["test_queries"] for c in cells) / sum(c.counts["train_queries"] for c in cells)


def _query_scores(results: Results, setting: Setting, rows: Sequence[Entrant]) -> tuple[FloatArray, IntArray, IntArray]:
    """`query_scores`, `tested` and `clusters` of the rows."""
    cells = [(column, record) for column, row in enumerate(rows) for record in row.done.values()]
    tables = [read_scores(results, record) for _, record in cells]
    column = np.repeat([column for column, _ in cells], [table.num_rows for table in tables])
    scores = pa.concat_tables(tables)
    query = codes(scores["query_id"])
    shape = (query.max() + 1, len(rows))
    slot = np.ravel_multi_index((query, column), shape)
    tested = np.bincount(slot, minlength=np.prod(shape)).reshape(shape)
    if uneven := np.flatnonzero((tested != tested[:, :1]).any(0)).tolist():
        raise BadInput(
            f"{results.folder}: {rows[uneven[0]].label} and {rows[0].label} on {setting.dataset} were scored on "
            "different queries; run the cells of one of them again with --overwrite always"
        )
    total = np.bincount(slot, scores[MAIN].to_numpy(), minlength=np.prod(shape)).reshape(shape)
    clusters = np.empty(len(total), np.intp)
    clusters[query] = codes(scores["cluster"])
    return total / tested, tested[:, 0], clusters


def read_scores(results: Results, record: Record, *more: str) -> pa.Table:
    """The columns query_id, cluster, `MAIN` and `more` of a cell's scores, the last as floats, a row a test query.

    Raises:
        BadInput: when the file is missing or damaged.
    """
    path, names, floats = results.per_query(record), ("query_id", "cluster"), (MAIN, *more)
    # Cast, because the type of a string in the file depends on the version of pandas that wrote it.
    schema = pa.schema([*((name, pa.string()) for name in names), *((name, pa.float64()) for name in floats)])
    try:
        with pq.ParquetFile(path) as file:  # a third of the time of pandas, and a report may read thousands
            return file.read(schema.names, use_threads=False).select(schema.names).cast(schema)
    except (OSError, pa.ArrowException, KeyError):
        raise BadInput(f"{path}: missing or damaged; run the cell again with --overwrite always") from None


def codes(names: pa.ChunkedArray) -> IntArray:
    """Numbers (n,) from 0 for (n,) names, in the order of the names: files may list their queries in any order."""
    encoded = names.combine_chunks().dictionary_encode()
    rank: IntArray = pc.rank(encoded.dictionary, tiebreaker="dense").to_numpy().astype(np.intp) - 1
    indices: IntArray = encoded.indices.to_numpy()
    return rank[indices]
