"""Metrics per query, against plain Python."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.score import DEPTH, METRICS, score
from methods import Csr, Ranking


def expected(retrieved: list[int], relevant: dict[int, int]) -> dict[str, float]:
    """The definitions, one after the other."""
    retrieved = [row for row in retrieved if row >= 0][:DEPTH]
    gains = [relevant.get(row, 0) for row in retrieved]
    hits = [row in relevant for row in retrieved]

    def dcg(gains: list[int]) -> float:
        return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:10], 1))

    def recall(k: int) -> float:
        return sum(hits[:k]) / len(relevant)

    first = hits.index(True) + 1 if True in hits else math.inf
    precisions = [sum(hits[:rank]) / rank for rank in range(1, len(hits) + 1) if hits[rank - 1]]
    return {
        "ndcg@10": dcg(gains) / dcg(sorted(relevant.values(), reverse=True)),
        "recall@1": recall(1),
        "recall@10": recall(10),
        "recall@100": recall(100),
        "mrr@10": 1 / first if first <= 10 else 0.0,
        "map@100": sum(precisions) / len(relevant),
        "recall_capped@1": float(sum(hits[:1])),
        "recall_capped@10": sum(hits[:10]) / min(len(relevant), 10),
    }


@st.composite
def rankings(draw: st.DrawFn) -> tuple[list[list[int]], list[dict[int, int]]]:
    """Rankings of up to `n` documents, the shorter ones padded with -1, and graded judgements."""
    n = draw(st.sampled_from([3, 15, 130]))
    width = min(n, draw(st.sampled_from([1, 5, 100, 120])))
    documents = st.integers(0, n - 1)
    rows, relevant = [], []
    for _ in range(draw(st.integers(1, 4))):
        retrieved = draw(st.permutations(range(n)))[: draw(st.integers(0, width))]
        rows.append(retrieved + [-1] * (width - len(retrieved)))
        relevant.append(draw(st.dictionaries(documents, st.integers(1, 4), min_size=1, max_size=14)))
    return rows, relevant


def ranking(rows: list[list[int]], scores: torch.Tensor | None = None) -> Ranking:
    shape = (len(rows), len(rows[0]))
    return Ranking(torch.tensor(rows).reshape(shape), torch.zeros(shape) if scores is None else scores)


@given(case=rankings())
def test_every_metric_is_its_definition(case: tuple[list[list[int]], list[dict[int, int]]]) -> None:
    rows, relevant = case
    found = score(ranking(rows), Csr.from_rows(relevant))
    assert tuple(found.columns) == METRICS
    assert len(found) == len(rows)
    assert (found.dtypes == "float64").all()
    for query, (retrieved, answers) in enumerate(zip(rows, relevant, strict=True)):
        assert found.loc[query].to_dict() == pytest.approx(expected(retrieved, answers), abs=1e-9)


@given(case=rankings(), data=st.data())
def test_only_ranks_count(case: tuple[list[list[int]], list[dict[int, int]]], data: st.DataObject) -> None:
    rows, relevant = case
    scores = torch.tensor(
        data.draw(
            st.lists(
                st.lists(st.floats(width=32), min_size=len(rows[0]), max_size=len(rows[0])),
                min_size=len(rows),
                max_size=len(rows),
            )
        )
    )
    csr = Csr.from_rows(relevant)
    assert score(ranking(rows, scores), csr).equals(score(ranking(rows), csr))


def test_documents_beyond_the_hundredth_do_not_count() -> None:
    rows = list(range(150))
    found = score(ranking([rows]), Csr.from_rows([[99, 100]])).loc[0]
    assert found["recall@100"] == 0.5
    assert found["map@100"] == pytest.approx(1 / 100 / 2)


def test_gain_is_linear_in_the_grade() -> None:
    found = score(ranking([[0, 1]]), Csr.from_rows([{0: 1, 1: 3}])).loc[0]
    assert found["ndcg@10"] == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))


def test_a_first_answer_at_rank_11_has_no_reciprocal_rank() -> None:
    found = score(ranking([list(range(20)), list(range(20))]), Csr.from_rows([[9], [10]]))
    assert found["mrr@10"].tolist() == [pytest.approx(0.1), 0.0]


def test_a_query_for_which_nothing_was_retrieved_scores_zero() -> None:
    found = score(ranking([[-1, -1], [0, -1]]), Csr.from_rows([[0], [0]]))
    assert found.loc[0].tolist() == [0.0] * len(METRICS)
    assert found.loc[1, "ndcg@10"] == 1.0


def test_rows_of_many_queries_stay_with_their_queries() -> None:
    m = 300
    rows = [[(query + shift) % m for shift in range(12)] for query in range(m)]
    found = score(ranking(rows), Csr.from_rows([[(query + query % 12) % m] for query in range(m)]))
    ranks = [query % 12 + 1 for query in range(m)]
    assert found["mrr@10"].tolist() == pytest.approx([1 / rank if rank <= 10 else 0.0 for rank in ranks])
