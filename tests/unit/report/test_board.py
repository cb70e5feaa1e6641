"""Records become the right rows of the right boards, and only complete rows are compared."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from bench.errors import BadInput
from bench.record import Results
from bench.report import Board, load_boards

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cells

    from bench.record import Record


def only(cells: Cells) -> Board:
    (board,) = load_boards(cells.folder)
    return board


OTHER_SETTINGS = (
    {"dataset": "icons"},
    {"fingerprint": "fedcba"},
    {"split": "grouped"},
    {"limit": 500},
    {"encoder": "bge-small"},
    {"encoder_revision": "r2"},
    {"encoder_settings": "dtype bfloat16"},
    {"accelerator": "NVIDIA H200"},
    {"threads": 8},
)


@pytest.mark.parametrize("other", OTHER_SETTINGS)
def test_settings_never_mix(cells: Cells, other: dict[str, Any]) -> None:
    cells.add("none", 0)
    cells.add("nudge-m", 0, 0.1, **other)
    boards = load_boards(cells.folder)
    assert sorted([row.method for row in board.rows] for board in boards) == [["none"], ["nudge-m"]]


@pytest.mark.parametrize("other", [*OTHER_SETTINGS, {"hyperparameters": {"steps": 9}}, {"of_the_future": 1}])
def test_no_row_averages_seeds_that_differ_by_more_than_their_number(cells: Cells, other: dict[str, Any]) -> None:
    cells.add("none", 0)
    cells.add("none", 1, 0.1, **other)
    assert [row.done for board in load_boards(cells.folder) for row in board.rows] == [1, 1]


def test_rows_rank_by_mean_and_the_baseline_stands_where_it_ranks(cells: Cells) -> None:
    for method, level in [("none", 0.0), ("bm25", -0.1), ("adaptor", 0.1)]:
        cells.add_seeds(method, range(3), level)
    board = only(cells)
    assert [row.method for row in board.rows] == ["adaptor", "none", "bm25"]
    assert [row.against and row.against.sign for row in board.rows] == [1, None, -1]
    assert board.seeds == (0, 1, 2)
    assert board.counts["documents"] == (1903, 1903)


def test_figures_are_those_of_the_cells(cells: Cells) -> None:
    records = cells.add_seeds("adaptor", range(3), 0.1)
    base = cells.add_seeds("none", range(3))
    row = only(cells).rows[0]
    assert row.figures
    assert row.against
    for metric, mean in row.figures.means.items():
        assert mean == pytest.approx(pd.Series([record.metrics[metric] for record in records]).mean())
    baseline = pd.Series([record.metrics["ndcg@10"] for record in base]).mean()
    assert row.against.gain == pytest.approx(row.figures.means["ndcg@10"] - baseline)
    assert row.against.ratio == pytest.approx(row.figures.means["ndcg@10"] / baseline - 1)
    assert row.figures.fit_seconds == 2.5


def pooled(cells: Cells, records: list[Record]) -> pd.Series[float]:
    """The scores of these cells, a row a test query and seed."""
    results = Results(cells.folder)
    tables = [pd.read_parquet(results.per_query(record)).assign(seed=record.seed) for record in records]
    return pd.concat(tables).set_index(["seed", "query_id", "cluster"])["ndcg@10"]


def half_width_over_clusters(scores: pd.Series[float]) -> float:
    """By leaving out one cluster at a time."""
    rest = [scores.drop(name, level="cluster").mean() for name in scores.index.unique("cluster")]
    n = len(rest)
    return stats.t.ppf(0.975, n - 1) * np.sqrt((n - 1) * np.mean((np.array(rest) - scores.mean()) ** 2))


def test_intervals_over_seeds_and_over_queries_are_kept_apart(cells: Cells) -> None:
    tuned = pooled(cells, cells.add_seeds("adaptor", range(3), 0.1, noise=0.1))
    gains = tuned - pooled(cells, cells.add_seeds("none", range(3), noise=0.1))
    best = only(cells).rows[0]
    assert best.figures
    assert best.against
    for scores, found in [(tuned, best.figures), (gains, best.against)]:
        assert found.query_half_width == pytest.approx(half_width_over_clusters(scores))
        seeds = scores.groupby("seed").mean()
        low, high = stats.t.interval(0.95, 2, seeds.mean(), stats.sem(seeds))
        assert found.half_width == pytest.approx((high - low) / 2)


def test_subsets_pool_the_queries_of_all_seeds(cells: Cells) -> None:
    results = Results(cells.folder)
    queries = pd.concat([pd.read_parquet(results.per_query(record)) for record in cells.add_seeds("none", range(3))])
    (row,) = only(cells).rows
    assert row.figures
    unseen = queries.loc[~queries["seen"], "ndcg@10"]
    close = queries.loc[queries["nearest"] >= 0.9, "ndcg@10"]
    for name, expected in [("unseen", unseen), (">.9", close)]:
        assert row.figures.subsets[name].queries == len(expected)
        assert row.figures.subsets[name].ndcg == pytest.approx(expected.mean())


def test_a_row_without_all_seeds_is_a_gap(cells: Cells) -> None:
    cells.add_seeds("none", range(3))
    cells.add_seeds("adaptor", range(3), 0.1)
    cells.add_seeds("nudge-m", range(2), 0.4)
    cells.lose("nudge-m", 2, "out of memory")
    cells.lose("bm25", 0, "rank-bm25 is not installed", status="skipped")
    board = only(cells)
    assert [(row.method, row.done, row.figures is None) for row in board.rows] == [
        ("adaptor", 3, False),
        ("none", 3, False),
        ("bm25", 0, True),
        ("nudge-m", 2, True),
    ]
    assert board.rows[0].mark == "winner"
    assert board.comparison
    assert board.comparison.better.shape == (2, 2)
    assert [(lost.method, lost.status, lost.text, lost.seeds) for lost in board.remarks] == [
        ("bm25", "skipped", "rank-bm25 is not installed", (0,)),
        ("nudge-m", "failed", "out of memory", (2,)),
    ]


def test_a_seed_that_only_one_method_ran_makes_gaps_of_the_others(cells: Cells) -> None:
    cells.add_seeds("none", range(2))
    cells.add_seeds("adaptor", range(3), 0.1)
    board = only(cells)
    assert [(row.method, row.figures is None) for row in board.rows] == [("adaptor", False), ("none", True)]
    assert board.comparison is None
    assert {row.mark for row in board.rows} == {""}
    assert board.rows[0].against is None


def test_methods_that_are_alike_share_the_lead(cells: Cells) -> None:
    for method, level in [("none", 0.0), ("nudge-m", 0.1), ("nudge-n", 0.1), ("corrector", 0.099), ("bm25", -0.1)]:
        cells.add_seeds(method, range(2), level)
    marks = {row.method: row.mark for row in only(cells).rows}
    assert marks == {"nudge-m": "tied", "nudge-n": "tied", "corrector": "tied", "none": "", "bm25": ""}


def test_a_winner_beats_its_runner_up(cells: Cells) -> None:
    for method, level in [("none", 0.0), ("nudge-m", 0.2), ("nudge-n", 0.1)]:
        cells.add_seeds(method, range(2), level)
    assert {row.method: row.mark for row in only(cells).rows} == {"nudge-m": "winner", "nudge-n": "", "none": ""}


@pytest.mark.parametrize(
    ("split", "seeds", "tests"),
    [
        ("random", 5, {"permutation", "resampled_t"}),
        ("grouped", 5, {"permutation", "resampled_t"}),
        ("random", 4, {"permutation"}),
        ("official", 5, {"permutation"}),
    ],
)
def test_the_t_test_needs_five_resampled_splits(cells: Cells, split: str, seeds: int, tests: set[str]) -> None:
    cells.add_seeds("none", range(seeds), split=split)
    cells.add_seeds("adaptor", range(seeds), 0.1, split=split)
    best, _ = only(cells).rows
    assert best.against
    assert set(best.against.p) == tests


def test_one_seed_has_an_interval_over_queries_alone(cells: Cells) -> None:
    record = cells.add("none", 7)
    (row,) = only(cells).rows
    assert row.figures
    assert row.figures.half_width is None
    assert row.figures.query_half_width == pytest.approx(half_width_over_clusters(pooled(cells, [record])))


def test_one_cluster_has_an_interval_over_seeds_alone(cells: Cells) -> None:
    results = Results(cells.folder)
    for method, level in [("none", 0.0), ("adaptor", 0.1)]:
        for record in cells.add_seeds(method, range(2), level):
            results.write(record, pd.read_parquet(results.per_query(record)).assign(cluster="d0"))
    best = only(cells).rows[0]
    assert best.figures
    assert best.against
    for found in (best.figures, best.against):
        assert found.half_width
        assert found.query_half_width is None


def test_rows_that_are_alike_gain_nothing_and_without_width(cells: Cells) -> None:
    for method in ("none", "nudge-m"):
        cells.add_seeds(method, range(2))
    against = only(cells).rows[1].against
    assert against
    assert (against.gain, against.half_width, against.query_half_width) == (0, 0, 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [({"method_version": 9}, {"method_version": 10}), ({"schema": 1}, {"schema": 2, "method_version": 0})],
)
def test_the_newest_version_stands_alone(cells: Cells, old: dict[str, int], new: dict[str, int]) -> None:
    cells.add_seeds("none", range(2))
    cells.add_seeds("nudge-m", range(2), 0.3, **old)
    newer = cells.add("nudge-m", 0, 0.1, **new)
    board = only(cells)
    assert [(row.method, row.done) for row in board.rows] == [("none", 2), ("nudge-m", 1)]
    assert board.replaced == {"nudge-m": 2}
    cells.add("nudge-m", 1, 0.1, **new)
    best = only(cells).rows[0]
    assert best.figures
    assert best.figures.means["ndcg@10"] == pytest.approx(newer.metrics["ndcg@10"], abs=0.05)


def test_two_configurations_of_one_version_are_two_rows(cells: Cells) -> None:
    cells.add_seeds("adaptor", range(2), 0.1, hyperparameters={"steps": 100, "rate": 0.1})
    cells.add_seeds("adaptor", range(2), 0.2, hyperparameters={"steps": 200, "rate": 0.1})
    assert [row.method for row in only(cells).rows] == ["adaptor {steps=200}", "adaptor {steps=100}"]


def test_the_order_of_the_queries_in_a_file_does_not_matter(cells: Cells) -> None:
    cells.add_seeds("none", range(2), noise=0.1)
    record = cells.add_seeds("adaptor", range(2), 0.01, noise=0.1)[1]
    before = only(cells).rows[0].against
    results = Results(cells.folder)
    results.write(record, pd.read_parquet(results.per_query(record)).sample(frac=1, random_state=0))
    assert only(cells).rows[0].against == before


def test_methods_scored_on_different_queries_are_refused(cells: Cells) -> None:
    cells.add("none", 0)
    record = cells.add("adaptor", 0, 0.1)
    results = Results(cells.folder)
    queries = pd.read_parquet(results.per_query(record))
    results.write(record, queries.assign(query_id="other-" + queries["query_id"]))
    with pytest.raises(BadInput, match="different queries"):
        load_boards(cells.folder)


def peak_of_reading(folder: Path) -> int:
    """Bytes, those of Arrow included."""
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        load_boards(folder)
        return tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)


def test_memory_grows_with_the_largest_board_and_not_with_the_folder(cells: Cells) -> None:
    queries = pd.DataFrame({"query_id": [f"q{q}" for q in range(20_000)], "cluster": "d0", "ndcg@10": 0.5})

    def add_board(dataset: str) -> None:
        for method in ("none", "adaptor"):
            record = cells.record(method, 0, {"dataset": dataset}, status="ok", metrics={"ndcg@10": 0.5})
            Results(cells.folder).write(record, queries)

    add_board("first")
    load_boards(cells.folder)  # imports what reading needs
    one = peak_of_reading(cells.folder)
    for number in range(7):
        add_board(f"other-{number}")
    assert peak_of_reading(cells.folder) < 1.5 * one


@pytest.mark.parametrize("content", [None, b"PAR1"])
def test_lost_scores_are_named(cells: Cells, content: bytes | None) -> None:
    cells.add("none", 0)
    record = cells.add("adaptor", 0, 0.1)
    path = Results(cells.folder).per_query(record)
    path.unlink()
    if content:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=path.name):
        load_boards(cells.folder)
