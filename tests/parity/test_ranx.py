"""Means and p-values of unclustered queries are those of ranx 0.3.21.

It was asked once, since it brings 330 MB and numba, which bm25s would then import too: with what `asked` makes, by
`compare(qrels, runs, ["ndcg@10"], stat_test=…, n_permutations=100_000)` for "fisher" and for "student".
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from bench.report.significance import (
    DRAWS,
    FloatArray,
    clustered_half_width,
    corrected_resampled_t_test,
    pairs,
    sign_flip_test,
)
from bench.score import score
from methods import Csr, Ranking

QUERIES, DOCUMENTS = 60, 80
NOISE = (1.0, 1.2, 1.3)  # of the three runs
MEANS = (0.6840505, 0.5947597, 0.5588480)
FISHER = (0.04357, 0.00688, 0.36074)  # in the order of `pairs`
STUDENT = (0.04332658, 0.00685760, 0.35883694)


def asked() -> tuple[list[dict[int, float]], list[FloatArray]]:
    """The graded judgements of each query, and the scores (queries, documents) of each run."""
    random = np.random.default_rng(0)
    answers = [random.choice(DOCUMENTS, random.integers(1, 5), replace=False).tolist() for _ in range(QUERIES)]
    judged = [{row: float(random.integers(1, 4)) for row in own} for own in answers]
    grades = np.array([[own.get(row, 0.0) for row in range(DOCUMENTS)] for own in judged])
    return judged, [grades + noise * random.normal(size=grades.shape) for noise in NOISE]


@pytest.fixture(scope="module")
def ndcg() -> FloatArray:
    """(queries, runs)."""
    judged, runs = asked()
    relevant = Csr.from_rows(judged)
    rankings = [Ranking(*reversed(torch.from_numpy(run).sort(descending=True))) for run in runs]
    return np.column_stack([score(ranking, relevant)["ndcg@10"] for ranking in rankings])


def test_means_are_those_of_ranx(ndcg: FloatArray) -> None:
    np.testing.assert_allclose(ndcg.mean(0), MEANS, atol=1e-6)


def test_p_of_the_permutation_test_is_that_of_ranx(ndcg: FloatArray) -> None:
    p = sign_flip_test(ndcg, np.arange(QUERIES))
    assert (np.abs(p - FISHER) < 4 * np.sqrt(p * (1 - p) / DRAWS)).all()


def test_p_of_the_t_test_is_that_of_ranx(ndcg: FloatArray) -> None:
    np.testing.assert_allclose(corrected_resampled_t_test(ndcg, 0.0), STUDENT, rtol=1e-4)


def test_the_interval_over_queries_goes_with_p_of_ranx(ndcg: FloatArray) -> None:
    for first, second, p in zip(*pairs(len(NOISE)), STUDENT, strict=True):
        gain = ndcg[:, first] - ndcg[:, second]
        width = clustered_half_width(gain, np.ones(QUERIES), np.arange(QUERIES))
        t = gain.mean() / (width or 0) * stats.t.ppf(0.975, QUERIES - 1)
        assert 2 * stats.t.sf(abs(t), QUERIES - 1) == pytest.approx(p, rel=1e-4)
