"""A difference between two lots of scores, its intervals and its p-values, against scipy and against hand-made sums."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from bench.report.difference import Difference, corrected, measure
from bench.report.significance import (
    DRAWS,
    LEVEL,
    FloatArray,
    corrected_resampled_t_test,
    t_half_width,
)

drawing = settings(deadline=None, max_examples=30)  # ten thousand sign flips an example
values = hnp.arrays(np.float64, st.integers(2, 20), elements=st.floats(-1, 1, width=32))
two_scores = hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(0, 1, width=16))


def pairs(scores: FloatArray, seeds: int = 1, in_cluster: int = 1) -> pa.Table:
    """Scores (n, 2) dealt to the seeds in turn; query q is in cluster q // in_cluster."""
    query, seed = np.divmod(np.arange(len(scores)), seeds)
    columns = {"query_id": [f"q{q}" for q in query], "cluster": [f"d{q // in_cluster}" for q in query], "seed": seed}
    return pa.table({**columns, "first": scores[:, 0], "second": scores[:, 1]})


@given(values, st.floats(0, 1))
def test_the_interval_over_seeds_excludes_zero_where_the_t_test_is_significant(found: FloatArray, ratio: float) -> None:
    p = corrected_resampled_t_test(np.column_stack([found, np.zeros(len(found))]), ratio).item()
    half_width = t_half_width(found, test_to_train=ratio)
    assert half_width is not None
    if abs(p - LEVEL) > 1e-6:
        assert (abs(found.mean()) > half_width) == (p < LEVEL)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_a_difference_over_clusters_and_seeds_is_tested_as_scipy_tests_the_sums(shift: float) -> None:
    rng = np.random.default_rng(3)
    scores = rng.random((72, 2)) + np.array([shift, 0.0])  # 36 queries in 12 clusters, each tested by both seeds
    by_query = scores.reshape(36, 2, 2).mean(1)
    by_cluster = (by_query[:, 0] - by_query[:, 1]).reshape(12, 3).sum(1)
    exact = stats.permutation_test((by_cluster,), np.sum, permutation_type="samples", n_resamples=2**12).pvalue.item()
    found = measure(pairs(scores, seeds=2, in_cluster=3), 0.0)
    tolerance = 4 * np.sqrt(exact * (1 - exact) / DRAWS) + 1 / DRAWS
    assert found.p == {"permutation": pytest.approx(exact, abs=tolerance)}
    assert (found.queries, found.clusters) == (72, 12)
    assert found.over_queries == pytest.approx(stats.t.interval(0.95, 11, 0, stats.sem(by_cluster / 3))[1])


@given(two_scores, st.integers(1, 6), st.integers(1, 3))
@drawing
def test_exchanging_the_two_turns_the_sign_and_nothing_else(scores: FloatArray, seeds: int, in_cluster: int) -> None:
    there, back = (measure(pairs(each, seeds, in_cluster), 0.3) for each in (scores, scores[:, ::-1]))
    assert back.value == -there.value
    assert back.direction == -there.direction
    assert (back.first, back.second) == (there.second, there.first)
    assert back.p == pytest.approx(there.p)
    assert (back.over_queries, back.over_seeds) == pytest.approx((there.over_queries, there.over_seeds))


@given(two_scores, st.integers(1, 6))
@drawing
def test_scores_without_a_difference_have_none(scores: FloatArray, seeds: int) -> None:
    found = measure(pairs(scores[:, [0, 0]], seeds), 0.3)
    assert (found.value, found.direction) == (0.0, 0)
    assert set(found.p.values()) == {1.0}
    assert corrected([found])[0].sign == 0


def test_a_subset_weighs_queries_and_the_whole_weighs_seeds() -> None:
    uneven = pa.table(
        {
            "query_id": ["a", "b", "a"],
            "cluster": ["x", "y", "x"],
            "seed": [0, 0, 1],
            "first": [1.0, 0.0, 0.25],
            "second": [0.0, 0.0, 0.0],
        }
    )
    assert measure(uneven, 0.0).first == pytest.approx((0.5 + 0.25) / 2)
    assert measure(uneven, 0.0, pooled=True).first == pytest.approx(1.25 / 3)


@pytest.mark.parametrize(("seeds", "ratio", "tests"), [(5, 0.3, 2), (4, 0.3, 1), (5, 0.0, 1)])
def test_the_t_test_needs_five_resampled_splits(seeds: int, ratio: float, tests: int) -> None:
    scores = np.random.default_rng(0).random((60, 2))
    assert len(measure(pairs(scores, seeds), ratio).p) == tests


def made(direction: int = 1, **p: float) -> Difference:
    figures: dict[str, Any] = dict.fromkeys(("first", "second", "over_queries", "over_seeds"), 0.5)
    return Difference(queries=9, clusters=9, direction=direction, p=p, **figures)


def test_holm_corrects_each_test_over_the_differences_that_have_it() -> None:
    found = corrected([made(permutation=0.01, resampled_t=0.02), made(permutation=0.03), made(permutation=0.04)])
    assert [each.holm for each in found] == [
        {"permutation": pytest.approx(0.03), "resampled_t": pytest.approx(0.02)},
        {"permutation": pytest.approx(0.06)},
        {"permutation": pytest.approx(0.06)},
    ]
    assert [each.sign for each in found] == [1, 0, 0]


@pytest.mark.parametrize(("direction", "p"), list(product((-1, 0, 1), (0.01, 0.04, 0.06))))
def test_a_sign_needs_every_test_and_a_direction(direction: int, p: float) -> None:
    (found,) = corrected([made(direction, permutation=0.001, resampled_t=p)])
    assert found.sign == (direction if p < LEVEL else 0)
    assert made(direction, permutation=0.001).sign == 0, "not corrected yet"
