"""Paired tests between all methods of one table, and intervals over seeds and queries: pure functions of arrays.

A test takes one column a method and gives one p-value a pair, in the order of `pairs`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special  # scipy.stats holds the same distribution and takes a second to import

TESTS = ("permutation", "resampled_t")
LEVEL = 0.05
DRAWS = 10_000
_HELD = 2**21  # floats in one block of draws: 16 MiB

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True)
class PValues:
    """The p-values of one test between m methods.

    Attributes:
        raw: (m, m) symmetric, two-sided p-values, one on the diagonal.
        holm: (m, m) the same after Holm's correction for all m(m-1)/2 pairs.
    """

    raw: FloatArray
    holm: FloatArray


@dataclass(frozen=True)
class Comparison:
    """What the tests say about m methods.

    Attributes:
        tests: those of `TESTS` that apply, by name.
        better: (m, m) whether the row's method is significantly above the column's: every test that applies
            finds the same direction and has p < `LEVEL` after Holm.
        clusters: number of clusters whose signs were flipped.
        draws: number of random sign flips.
    """

    tests: dict[str, PValues]
    better: NDArray[np.bool_]
    clusters: int
    draws: int


def pairs(methods: int) -> tuple[IntArray, IntArray]:
    """The first and the second method of every unordered pair, each (methods·(methods-1)/2,)."""
    first, second = np.triu_indices(methods, 1)
    return first, second


def draws_for(methods: int, family: int = 0) -> int:
    """Sign flips to draw: `DRAWS`, or so many more that Holm's smallest possible p-value stays below `LEVEL`.

    Holm corrects for all pairs of the methods, or for a `family` of more tests than these.
    """
    return max(DRAWS, 40 * max(len(pairs(methods)[0]), family))


def compare(
    query_scores: FloatArray, clusters: NDArray[np.generic], seed_scores: FloatArray, test_to_train: float | None
) -> Comparison:
    """Compares every pair of m ≥ 2 methods.

    Args:
        query_scores: (queries, m) each query's score, averaged over the seeds in which it was tested.
        clusters: (queries,) labels; queries that share one are flipped together.
        seed_scores: (seeds, m) each seed's mean score.
        test_to_train: test queries for each train query of the resampled splits; None where the splits are not
            resampled or too few for the corrected resampled t-test.
    """
    methods = query_scores.shape[1]
    tests = {"permutation": _square(sign_flip_test(query_scores, clusters), methods)}
    if test_to_train is not None:
        tests["resampled_t"] = _square(corrected_resampled_t_test(seed_scores, test_to_train), methods)
    better = _above(query_scores) & _above(seed_scores)
    for test in tests.values():
        better &= test.holm < LEVEL
    return Comparison(tests, better, len(np.unique(clusters)), draws_for(methods))


def sign_flip_test(scores: FloatArray, clusters: NDArray[np.generic], family: int = 0) -> FloatArray:
    """Two-sided paired permutation test of every pair of methods, exchanging whole clusters of queries.

    Under the null the two methods are exchangeable within a cluster, so the cluster sums of the differences keep
    their distribution when their signs flip. Queries of one cluster share a relevant document and rise or fall
    together: flipping them one by one would count them as independent and find differences that are not there.
    The statistic is T, the sum of the differences, and p = (1 + #{|T*| ≥ |T|}) / (1 + draws), which is never zero
    (Phipson and Smyth, 2010, "Permutation p-values should never be zero"). The sign flip for IR metrics is
    Fisher's randomisation test (Smucker, Allan and Carterette, 2007); the draws are fixed, so p is repeatable.

    Args:
        scores: (queries, methods).
        clusters: (queries,) the label of each query's cluster.
        family: how many tests Holm will correct for, where these are not only the pairs.

    Returns:
        (pairs,) p-values, in the order of `pairs`.
    """
    _, member = np.unique(clusters, return_inverse=True)
    sums = np.zeros((member.max() + 1, scores.shape[1]))
    np.add.at(sums, member, scores)
    first, second = pairs(scores.shape[1])
    # A flip that leaves |T| as it is must count as reached although its sum was rounded in another order.
    rounding = 64 * np.finfo(np.float64).eps * np.abs(sums).sum(0)
    total = sums.sum(0)
    reached = np.abs(total[first] - total[second]) - (rounding[first] + rounding[second])
    rng, draws = np.random.default_rng(0), draws_for(scores.shape[1], family)
    block = max(1, _HELD // max(len(sums), len(first)))
    count: FloatArray = np.zeros(len(first))
    for start in range(0, draws, block):
        octets = rng.integers(256, size=(min(block, draws - start), -(-len(sums) // 8)), dtype=np.uint8)
        kept = np.unpackbits(octets, axis=1, count=len(sums))
        # Linear in the scores, so one product over the methods holds every pair's statistic as a difference.
        flipped = 2.0 * (kept.astype(np.float64) @ sums) - total
        count += (np.abs(flipped[:, first] - flipped[:, second]) >= reached).sum(0)
    return (1.0 + count) / (1.0 + draws)


def corrected_resampled_t_test(scores: FloatArray, test_to_train: float) -> FloatArray:
    """Two-sided t-test of every pair of methods over overlapping random splits.

    The train sets of random splits overlap, so their differences are correlated and s²/n is too small a variance
    of the mean. Nadeau and Bengio (2003), "Inference for the generalization error": use
    (1/n + n_test/n_train)·s² instead, with n - 1 degrees of freedom.

    Args:
        scores: (seeds, methods) with two seeds or more.
        test_to_train: n_test/n_train; zero gives the plain paired t-test.

    Returns:
        (pairs,) p-values, in the order of `pairs`; where all differences are equal 1 if they are zero, else 0.
    """
    first, second = pairs(scores.shape[1])
    difference = scores[:, first] - scores[:, second]
    seeds = len(difference)
    mean = np.abs(difference.mean(0))
    error = np.sqrt((1.0 / seeds + test_to_train) * difference.var(0, ddof=1))
    t = np.divide(mean, error, out=np.where(mean > 0, np.inf, 0.0), where=error > 0)
    p: FloatArray = 2.0 * special.stdtr(seeds - 1, -t)
    return p


def holm(p: FloatArray) -> FloatArray:
    """Holm's (1979) step-down adjustment of (n,) p-values: it keeps the family-wise error whatever their dependence."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def t_half_width(*samples: FloatArray, test_to_train: float = 0.0) -> float | None:
    """Half the width of the 95 % t-interval of the mean of the samples' means; None when a sample has one value.

    The samples are independent and weigh alike, whatever their sizes and variances, so the degrees of freedom are
    those of Welch (1947) and Satterthwaite (1946); those of a single sample are its size less one.

    Args:
        samples: one or more, each (n,) values.
        test_to_train: n_test/n_train of overlapping random splits, whose variance is then that of
            `corrected_resampled_t_test`; zero for values that are independent.
    """
    if any(len(sample) < 2 for sample in samples):
        return None
    variances = np.array([(1.0 / len(x) + test_to_train) * x.var(ddof=1) for x in samples]) / len(samples) ** 2
    total = variances.sum()
    if total == 0:
        return 0.0
    freedom = total**2 / sum(variance**2 / (len(x) - 1) for variance, x in zip(variances, samples, strict=True))
    return float(special.stdtrit(freedom, 1.0 - LEVEL / 2.0) * np.sqrt(total))


def clustered_half_width(
    values: FloatArray, weights: NDArray[np.number], clusters: NDArray[np.generic]
) -> float | None:
    """Half the width of the 95 % interval of a weighted mean of values that rise and fall together in clusters.

    The jackknife that leaves out one cluster at a time, with G - 1 degrees of freedom for G clusters. Where clusters
    weigh alike this is the t-interval of their means; where they do not, it is wider than that of the usual sandwich,
    which is then too narrow (MacKinnon, Nielsen and Webb, 2023, "Cluster-robust inference: A guide to empirical
    practice", their CV3).

    Args:
        values: (n,) floats.
        weights: (n,) positive.
        clusters: (n,) the label of each value's cluster.

    Returns:
        None for a single cluster.
    """
    _, member = np.unique(clusters, return_inverse=True)
    weight = np.bincount(member, weights)
    if len(weight) < 2:
        return None
    deviation = np.bincount(member, weights * (values - np.average(values, weights=weights)))
    moved = deviation / (weight.sum() - weight)  # the mean, when the cluster is left out
    error = np.sqrt((len(moved) - 1) / len(moved) * np.square(moved).sum())
    return float(special.stdtrit(len(moved) - 1, 1.0 - LEVEL / 2.0) * error)


def _above(scores: FloatArray) -> NDArray[np.bool_]:
    mean: FloatArray = scores.mean(0)
    return np.greater.outer(mean, mean)


def _square(p: FloatArray, methods: int) -> PValues:
    first, second = pairs(methods)

    def mirrored(values: FloatArray) -> FloatArray:
        square = np.ones((methods, methods))
        square[first, second] = square[second, first] = values
        return square

    return PValues(mirrored(p), mirrored(holm(p)))
