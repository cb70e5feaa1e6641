"""The metrics that methods choose by, against trec_eval."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods import Csr, Metric, Ranking

TREC = {"ndcg@10": "ndcg_cut_10", "ndcg@3": "ndcg_cut_3", "recall@5": "recall_5", "hit@1": "P_1"}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_means_equal_those_of_trec_eval(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = []
    for size in random.integers(1, 9, 6):
        documents, grades = random.choice(20, size, replace=False), random.integers(1, 4, size)
        rows.append({int(document): float(grade) for document, grade in zip(documents, grades, strict=True)})
    ranked = np.stack([random.permutation(20)[:12] for _ in rows])
    ranked[0, 7:] = -1
    qrels = {str(q): {str(d): int(g) for d, g in row.items()} for q, row in enumerate(rows)}
    run = {str(q): {str(d): float(-r) for r, d in enumerate(row) if d >= 0} for q, row in enumerate(ranked)}
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.3,10", "recall.5", "P.1"}).evaluate(run)
    ranking = Ranking(torch.from_numpy(ranked), torch.zeros(ranked.shape))
    for name, trec in TREC.items():
        expected = np.mean([scores[trec] for scores in found.values()])
        assert Metric.parse(name).mean(ranking, Csr.from_rows(rows)) == pytest.approx(expected, abs=1e-12)


def test_queries_without_an_answer_do_not_count() -> None:
    ranking = Ranking(torch.tensor([[1, 0], [0, 1]]), torch.zeros(2, 2))
    assert Metric.parse("hit@1").mean(ranking, Csr.from_rows([[1], []])) == 1.0
    with pytest.raises(ValueError, match="no query has a relevant document"):
        Metric.parse("hit@1").mean(ranking, Csr.from_rows([[], []]))


@pytest.mark.parametrize("name", ["ndcg", "ndcg@0", "hit@2", "map@10", "recall@x", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="write ndcg@K"):
        Metric.parse(name)
