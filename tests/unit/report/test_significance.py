"""The tests of significance keep their promises, and agree with other people's."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from bench.report.significance import (
    DRAWS,
    LEVEL,
    FloatArray,
    IntArray,
    clustered_half_width,
    compare,
    corrected_resampled_t_test,
    draws_for,
    holm,
    pairs,
    sign_flip_test,
    t_half_width,
)

p_values = hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1))
Clustered = tuple[FloatArray, IntArray, IntArray]  # values, weights, clusters
scores = hnp.arrays(np.float64, st.tuples(st.integers(2, 25), st.integers(2, 5)), elements=st.floats(0, 1, width=32))
drawing = settings(deadline=None, max_examples=50)  # ten thousand sign flips an example


def test_holm_by_hand() -> None:
    # Sorted .005 .01 .03 .04 times 4 3 2 1 is .02 .03 .06 .04, and the last may not fall below the one before.
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


@given(p_values)
def test_holm_lies_between_raw_and_bonferroni(p: FloatArray) -> None:
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, len(p) * p)).all()


@given(p_values, st.integers(0, 2**32 - 1))
def test_holm_keeps_the_order_and_ignores_the_arrangement(p: FloatArray, seed: int) -> None:
    order = np.argsort(p, kind="stable")
    assert (np.diff(holm(p)[order]) >= 0).all()
    shuffled = np.random.default_rng(seed).permutation(len(p))
    np.testing.assert_array_equal(holm(p[shuffled]), holm(p)[shuffled])


@given(scores, st.integers(0, 2**32 - 1))
@drawing
def test_sign_flip_ignores_the_order_of_queries(values: FloatArray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, 8, len(values))
    order = rng.permutation(len(values))
    np.testing.assert_array_equal(sign_flip_test(values, clusters), sign_flip_test(values[order], clusters[order]))


@given(scores)
@drawing
def test_sign_flip_gives_a_pair_one_p_value_in_either_direction(values: FloatArray) -> None:
    clusters = np.arange(len(values)) // 2
    first, second = pairs(values.shape[1])
    backwards = sign_flip_test(values[:, ::-1], clusters)
    mirrored = {
        (values.shape[1] - 1 - b, values.shape[1] - 1 - a): p for a, b, p in zip(first, second, backwards, strict=True)
    }
    expected = [mirrored[a, b] for a, b in zip(first, second, strict=True)]
    np.testing.assert_array_equal(sign_flip_test(values, clusters), expected)


@given(scores)
@example(np.array([[0.5, 0, 1], [7.2e-15, 0, 0]]))  # a difference that is as small as what a third method may round to
@drawing
def test_sign_flip_depends_on_no_third_method(values: FloatArray) -> None:
    clusters = np.arange(len(values))
    np.testing.assert_array_equal(sign_flip_test(values, clusters)[:1], sign_flip_test(values[:, :2], clusters))


def test_sign_flip_finds_nothing_where_there_is_nothing() -> None:
    same = np.random.default_rng(0).random((50, 1)).repeat(2, axis=1)
    assert sign_flip_test(same, np.arange(50)) == [1.0]
    one_cluster = np.random.default_rng(0).random((50, 2))
    assert sign_flip_test(one_cluster, np.zeros(50)) == [1.0]


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.2, 0.4])
def test_sign_flip_of_single_queries_agrees_with_scipy(shift: float) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random(12), rng.random(12) + shift
    exact = stats.permutation_test((a - b,), np.sum, permutation_type="samples", n_resamples=2**12).pvalue.item()
    tolerance = 4 * np.sqrt(exact * (1 - exact) / DRAWS) + 1 / DRAWS
    assert sign_flip_test(np.column_stack([a, b]), np.arange(12))[0] == pytest.approx(exact, abs=tolerance)


def test_sign_flip_holds_its_level_on_clusters_where_single_queries_would_not() -> None:
    trials, clusters = 300, np.repeat(np.arange(25), 8)
    rng = np.random.default_rng(11)
    p = np.empty((trials, 2))
    for trial in range(trials):
        difference = rng.normal(size=25)[clusters] + rng.normal(size=200)
        values = np.column_stack([difference, np.zeros(200)])
        p[trial] = sign_flip_test(values, clusters)[0], sign_flip_test(values, np.arange(200))[0]
    clustered, single = p.T
    low, high = stats.binom.interval(0.999, trials, LEVEL)
    assert low <= (clustered < LEVEL).sum() <= high
    assert stats.kstest(clustered, "uniform").pvalue > 0.001
    assert (single < LEVEL).mean() > 0.3


def test_sign_flip_bounds_its_memory() -> None:
    values = np.random.default_rng(0).random((20_000, 3))
    tracemalloc.start()
    sign_flip_test(values, np.arange(20_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20  # all the signs at once would hold 1.6 GB


@pytest.mark.parametrize("methods", [2, 10, 23, 40, 100])
def test_enough_draws_for_holm_to_find_anything(methods: int) -> None:
    family = len(pairs(methods)[0])
    assert family / (1 + draws_for(methods)) < LEVEL
    assert draws_for(10) == DRAWS == 10_000
    assert 1000 / (1 + draws_for(methods, family=1000)) < LEVEL


def test_t_test_without_correction_is_scipys() -> None:
    values = np.random.default_rng(5).random((6, 3))
    first, second = pairs(3)
    expected = stats.ttest_1samp(values[:, first] - values[:, second], 0.0).pvalue
    np.testing.assert_allclose(corrected_resampled_t_test(values, 0.0), expected)


def test_t_test_by_hand() -> None:
    difference = np.array([0.01, 0.02, 0.03, 0.04, 0.05])
    t = 0.03 / np.sqrt((1 / 5 + 2 / 7) * 0.00025)
    p = corrected_resampled_t_test(np.column_stack([difference, np.zeros(5)]), 2 / 7)
    np.testing.assert_allclose(p, 2 * stats.t.sf(t, 4))


@given(scores, st.floats(0, 1), st.floats(0, 1))
def test_t_test_correction_only_ever_weakens(values: FloatArray, a: float, b: float) -> None:
    weaker, stronger = (corrected_resampled_t_test(values, ratio) for ratio in (max(a, b), min(a, b)))
    assert (weaker >= stronger - 1e-12).all()
    assert ((stronger >= 0) & (weaker <= 1)).all()


def test_t_test_without_variance() -> None:
    level = np.column_stack([np.full(5, 0.25), np.full(5, 0.25), np.full(5, 0.5)])
    np.testing.assert_array_equal(corrected_resampled_t_test(level, 0.3), [1, 0, 0])
    assert corrected_resampled_t_test(level + np.array([0, 0, 0.1 / 3]), 0.3)[1] < 1e-20


def test_half_width_is_scipys_interval() -> None:
    values = np.array([0.31, 0.35, 0.33])
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert t_half_width(values) == pytest.approx((high - low) / 2)
    assert t_half_width(values[:1]) is None


@st.composite
def samples(draw: st.DrawFn) -> Clustered:
    n = draw(st.integers(2, 25))
    values = draw(hnp.arrays(np.float64, n, elements=st.floats(0, 1, width=32)))
    weights, clusters = (draw(hnp.arrays(np.intp, n, elements=st.integers(low, 5))) for low in (1, 0))
    assume(len(set(clusters.tolist())) > 1)
    return values, weights, clusters


@given(samples())
def test_clustered_half_width_is_that_of_leaving_out_one_cluster_at_a_time(sample: Clustered) -> None:
    values, weights, clusters = sample
    names = set(clusters.tolist())
    rest = [np.average(values[clusters != name], weights=weights[clusters != name]) for name in names]
    variance = (len(rest) - 1) * np.mean((np.array(rest) - np.average(values, weights=weights)) ** 2)
    expected = stats.t.ppf(0.975, len(rest) - 1) * np.sqrt(variance)
    assert clustered_half_width(*sample) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(samples(), st.integers(0, 2**32 - 1))
def test_clustered_half_width_ignores_order_names_and_level(sample: Clustered, seed: int) -> None:
    values, weights, clusters = sample
    order = np.random.default_rng(seed).permutation(len(values))
    named = np.array([f"d{-name}" for name in clusters])
    other = clustered_half_width(3 - 2 * values[order], 7 * weights[order], named[order])
    assert other == pytest.approx(2 * (clustered_half_width(*sample) or 0), rel=1e-6, abs=1e-12)


@given(samples())
def test_clustered_half_width_weighs_a_query_as_its_repetitions(sample: Clustered) -> None:
    values, weights, clusters = sample
    repeated = (np.repeat(column, weights) for column in (values, np.ones_like(weights), clusters))
    assert clustered_half_width(*repeated) == pytest.approx(clustered_half_width(*sample), rel=1e-6, abs=1e-12)


def test_clustered_half_width_of_single_queries_is_scipys_interval() -> None:
    values = np.random.default_rng(2).random(40)
    low, high = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    assert clustered_half_width(values, np.ones(40), np.arange(40)) == pytest.approx((high - low) / 2)


def test_clustered_half_width_agrees_with_scipys_bootstrap_of_clusters() -> None:
    rng = np.random.default_rng(4)
    clusters = rng.choice(80, 300)
    weights = rng.integers(1, 4, 300)
    values = rng.random(80)[clusters] + rng.random(300)
    sums, sizes = np.bincount(clusters, weights * values, 80), np.bincount(clusters, weights, 80)
    drawn = stats.bootstrap(
        (sums, sizes), lambda y, w, axis: y.sum(axis) / w.sum(axis), paired=True, n_resamples=4000, rng=rng
    )
    error = (clustered_half_width(values, weights, clusters) or 0) / stats.t.ppf(0.975, len(set(clusters)) - 1)
    assert error == pytest.approx(drawn.standard_error, rel=0.08)


def test_clustered_half_width_covers_the_mean_where_single_queries_would_not() -> None:
    trials, clusters = 400, np.repeat(np.arange(30), np.arange(30) % 5 + 2)
    rng = np.random.default_rng(12)
    covered = np.zeros(2)
    for _ in range(trials):
        difficulty = rng.normal(size=30)[clusters] + rng.normal(size=len(clusters))
        tested = rng.binomial(5, 0.4, len(clusters))  # by five seeds, which each draw two fifths of the queries
        asked = tested > 0
        values = difficulty[asked] + rng.normal(size=asked.sum()) / np.sqrt(tested[asked])
        mean = np.average(values, weights=tested[asked])
        for column, names in enumerate((clusters[asked], np.arange(asked.sum()))):
            covered[column] += abs(mean) <= (clustered_half_width(values, tested[asked], names) or 0)
    low, high = stats.binom.interval(0.999, trials, 1 - LEVEL)
    assert low <= covered[0] <= high
    assert covered[1] < 0.85 * trials


def test_clustered_half_width_without_variance_and_without_clusters() -> None:
    assert clustered_half_width(np.full(6, 0.1), np.arange(1, 7), np.arange(6) // 2) == pytest.approx(0, abs=1e-15)
    assert clustered_half_width(np.zeros(6), np.arange(1, 7), np.arange(6) // 2) == 0
    assert clustered_half_width(np.arange(6.0), np.ones(6), np.zeros(6)) is None
    assert clustered_half_width(np.ones(1), np.ones(1), np.zeros(1)) is None


def test_a_difference_counts_only_when_all_tests_agree() -> None:
    rng = np.random.default_rng(0)
    queries = np.column_stack([np.full(200, 0.5), np.full(200, 0.4)]) + rng.normal(0, 0.05, (200, 2))
    steady = np.column_stack([[0.50, 0.51, 0.49, 0.50, 0.51], [0.40, 0.41, 0.39, 0.40, 0.42]])
    erratic = np.column_stack([[0.90, 0.20, 0.70, 0.30, 0.40], [0.40, 0.41, 0.39, 0.40, 0.40]])
    clusters = np.arange(200) // 2
    for seeds, ratio, expected in [(steady, 0.3, True), (erratic, 0.3, False), (erratic, None, True)]:
        better = compare(queries, clusters, seeds, ratio).better
        assert better.tolist() == [[False, expected], [False, False]]
    assert not compare(queries, clusters, steady[:, ::-1], 0.3).better.any()  # the tests see opposite directions


@given(scores)
@drawing
def test_comparison_is_antisymmetric(values: FloatArray) -> None:
    compared = compare(values, np.arange(len(values)), values, 0.3)
    assert not (compared.better & compared.better.T).any()
    for test in compared.tests.values():
        np.testing.assert_array_equal(test.raw, test.raw.T)
        np.testing.assert_array_equal(test.holm, test.holm.T)
        assert (test.holm >= test.raw).all()
