"""Averages over data sets: each alike, of complete methods only, and against independent ways to compute them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.report import load_boards
from bench.report.overall import Averages, Overall, overall, pareto
from bench.report.overall_sheet import overall_sheet
from bench.report.significance import t_half_width

if TYPE_CHECKING:
    from conftest import Cells

LEVELS = {"none": 0.0, "adaptor": 0.1, "nudge-m": 0.2}

values = st.integers(-1000, 1000).map(float)  # equal ones have no variance, not even by rounding
samples = st.lists(values, min_size=2, max_size=6).map(np.array)
points = st.lists(st.tuples(values, st.one_of(st.just(float("nan")), st.integers(0, 5))), min_size=1, max_size=12)


def fill(cells: Cells, levels: dict[str, float], seeds: int = 3, **identity: Any) -> None:
    for method, level in levels.items():
        cells.add_seeds(method, range(seeds), level, **identity)


def only(cells: Cells) -> Overall:
    (found,) = overall(load_boards(cells.folder))
    return found


def averages(found: Overall) -> dict[str, Averages]:
    return {standing.method: standing.averages for standing in found.standings if standing.averages}


@given(points)
def test_the_frontier_is_what_no_other_method_dominates(points: list[tuple[float, float]]) -> None:
    gains, costs = (np.array(column, np.float64) for column in zip(*points, strict=True))

    def dominated(gain: float, cost: float) -> bool:
        return any((g >= gain and c < cost) or (g > gain and c <= cost) for g, c in points)

    expected = [not np.isnan(cost) and not dominated(gain, cost) for gain, cost in points]
    assert pareto(gains, costs) == expected


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, where one sample has no variance
@given(samples, samples)
def test_the_interval_of_two_samples_is_welchs(first: np.ndarray, second: np.ndarray) -> None:
    half_width = t_half_width(first, second)
    if first.std() == second.std() == 0:
        assert half_width == 0
        return
    interval = stats.ttest_ind(first, -second, equal_var=False).confidence_interval(0.95)
    assert half_width == pytest.approx((interval.high - interval.low) / 4, rel=1e-6)


@given(samples)
def test_the_interval_of_one_sample_is_students(sample: np.ndarray) -> None:
    interval = stats.t.interval(0.95, len(sample) - 1, scale=stats.sem(sample)) if sample.std() else (0.0, 0.0)
    assert t_half_width(sample) == pytest.approx((interval[1] - interval[0]) / 2)


@given(st.lists(samples, min_size=2, max_size=5))
def test_the_interval_scales_with_its_values_and_not_with_their_order(several: list[np.ndarray]) -> None:
    half_width = t_half_width(*several)
    assert t_half_width(*(10 * sample for sample in reversed(several))) == pytest.approx(10 * half_width)  # type: ignore[operator]


def test_a_single_value_leaves_no_interval() -> None:
    assert t_half_width(np.array([0.1, 0.2]), np.array([0.3])) is None


def test_each_data_set_weighs_alike(cells: Cells) -> None:
    fill(cells, LEVELS, seeds=5, dataset="icon-names")
    fill(cells, {"none": 0.0, "adaptor": -0.1, "nudge-m": 0.05}, seeds=2, dataset="apidocs")
    found = only(cells)
    gains = {
        (board.setting.dataset, row.method): row.against.gain
        for board in load_boards(cells.folder)
        for row in board.rows
        if row.against
    }
    assert found.datasets == ("apidocs", "icon-names")
    for method in ("adaptor", "nudge-m"):
        expected = (gains["apidocs", method] + gains["icon-names", method]) / 2
        assert averages(found)[method].gain == pytest.approx(expected)
    assert averages(found)["nudge-m"].fit_seconds == pytest.approx((3.5 + 2.0) / 2)
    assert [standing.method for standing in found.standings] == ["nudge-m", "adaptor", "none"]


def test_ranks_and_pairs_count_methods_that_are_complete_everywhere(cells: Cells) -> None:
    fill(cells, {**LEVELS, "bm25": 0.3}, dataset="icon-names")
    fill(cells, {"none": 0.0, "adaptor": -0.1, "nudge-m": 0.2}, dataset="apidocs")
    found = only(cells)
    assert [(standing.method, standing.done) for standing in found.standings][-1] == ("bm25", 1)
    assert found.standings[-1].averages is None
    assert {m: a.rank for m, a in averages(found).items()} == {"nudge-m": 1.0, "adaptor": 2.5, "none": 2.5}
    assert {m: (a.wins, a.ties, a.losses) for m, a in averages(found).items()} == {
        "nudge-m": (4, 0, 0),
        "adaptor": (1, 0, 3),
        "none": (1, 0, 3),
    }


def test_equal_methods_share_their_rank_and_tie(cells: Cells) -> None:
    for dataset in ("icon-names", "apidocs"):
        fill(cells, {"none": 0.0, "nudge-m": 0.1, "nudge-n": 0.1}, dataset=dataset)
    found = averages(only(cells))
    assert (found["nudge-m"].rank, found["nudge-n"].rank, found["none"].rank) == (1.5, 1.5, 3.0)
    assert (found["nudge-m"].wins, found["nudge-m"].ties, found["nudge-m"].losses) == (2, 2, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"split": "grouped"},
        {"limit": 500},
        {"encoder": "bge-small"},
        {"encoder_revision": "r2"},
        {"encoder_settings": "dtype bfloat16"},
        {"accelerator": "NVIDIA H200"},
        {"threads": 8},
    ],
)
def test_settings_are_never_averaged(cells: Cells, other: dict[str, Any]) -> None:
    fill(cells, LEVELS, seeds=1)
    fill(cells, LEVELS, seeds=1, dataset="apidocs", **other)
    assert overall(load_boards(cells.folder)) == []


def test_a_data_set_in_two_versions_is_left_out(cells: Cells) -> None:
    for dataset in ("icon-names", "apidocs", "icons"):
        fill(cells, LEVELS, seeds=1, dataset=dataset)
    fill(cells, LEVELS, seeds=1, dataset="icons", fingerprint="other")
    found = only(cells)
    assert found.datasets == ("apidocs", "icon-names")
    assert found.left_out == {"icons": "there are several versions of its data"}


def test_a_data_set_without_a_complete_baseline_is_left_out(cells: Cells) -> None:
    for dataset in ("icon-names", "apidocs"):
        fill(cells, LEVELS, seeds=1, dataset=dataset)
    fill(cells, {"adaptor": 0.1}, dataset="icons")
    cells.lose("none", 0, "out of memory", dataset="icons")
    found = only(cells)
    assert found.datasets == ("apidocs", "icon-names")
    assert found.left_out == {"icons": "none is not complete"}


def test_a_method_that_misses_a_data_set_is_a_gap_not_an_average(cells: Cells) -> None:
    fill(cells, LEVELS, dataset="icon-names")
    fill(cells, {"none": 0.0, "adaptor": 0.1}, dataset="apidocs")
    cells.add("nudge-m", 0, 0.2, dataset="apidocs")
    gap = only(cells).standings[-1]
    assert (gap.method, gap.done, gap.averages) == ("nudge-m", 1, None)


def test_the_sheet_words_averages_gaps_and_the_frontier(cells: Cells) -> None:
    fill(cells, LEVELS, dataset="icon-names")
    fill(cells, {**LEVELS, "bm25": -0.1}, dataset="apidocs")
    page = overall_sheet(only(cells))
    best, second, baseline, gap = (line.cells for line in page.main.lines)
    assert page.title == "Overall, 2 data sets · minilm · random split · cpu, 2 threads"
    assert re.fullmatch(r"nudge-m gains most on average, \+0\.\d{3}\. On the frontier: nudge-m\.", page.verdict)
    assert re.fullmatch(r"\+0\.\d{3} ± 0\.\d{3}", best[1])
    assert best[2:] == ("1.0", "4 / 0 / 0", "2.5 s", "yes")
    assert second[2:] == ("2.0", "2 / 0 / 2", "2.5 s", "")
    assert baseline[:2] == ("none", "baseline")
    assert gap == ("bm25", "— (1 of 2 data sets)", "—", "—", "—", "—")
    assert {len(line.values) for line in page.main.lines} == {5}


def test_the_sheet_says_when_nothing_gains(cells: Cells) -> None:
    for dataset in ("icon-names", "apidocs"):
        fill(cells, {"none": 0.0, "bm25": -0.1}, seeds=1, dataset=dataset)
    page = overall_sheet(only(cells))
    assert page.verdict == "No method gains on average over none."
    assert re.fullmatch(r"−0\.\d{3}", page.main.lines[1].cells[1])
