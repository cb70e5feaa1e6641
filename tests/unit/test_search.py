"""Exact search against numpy in float64 and against faiss."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from methods import Corpus, Csr, Moved, has_bfloat16, top_k
from methods._memory import halving
from methods._search import rounding, unit


def _vectors(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    return normalize(torch.from_numpy(random.normal(size=(n, d))), dim=1).float().numpy()


def _by_hand(queries: np.ndarray, vectors: np.ndarray, priority: np.ndarray, k: int) -> np.ndarray:
    scores = (queries.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32)
    return np.stack([np.lexsort((priority, -row))[:k] for row in scores])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    n=st.integers(1, 150),
    m=st.integers(1, 20),
    k=st.integers(1, 60),
    copies=st.integers(0, 100),
    shards=st.integers(1, 4),
)
def test_ranks_as_float64_does_and_ties_by_priority(
    seed: int, n: int, m: int, k: int, copies: int, shards: int
) -> None:
    random = np.random.default_rng(seed)
    vectors = _vectors(random, n, 7)
    vectors[random.integers(0, n, copies)] = vectors[0]  # far more ties than spare candidates
    queries = random.normal(size=(m, 7)).astype(np.float32)
    priority = random.permutation(n)
    corpus = Corpus((), tuple(np.array_split(vectors, shards)), priority)
    expected = _by_hand(queries, vectors, priority, k)
    ranking = top_k(torch.from_numpy(queries), corpus, k)
    assert ranking.rows[:, : min(k, n)].tolist() == expected.tolist()
    assert (ranking.rows[:, n:] == -1).all()
    assert ranking.scores[:, n:].isneginf().all()


def test_neither_blocks_nor_company_change_a_score(monkeypatch) -> None:
    random = np.random.default_rng(0)
    vectors, queries = _vectors(random, 3000, 384), torch.from_numpy(_vectors(random, 40, 384))
    corpus = Corpus.from_vectors(vectors)
    whole = top_k(queries, corpus, 10)
    monkeypatch.setattr("methods._search.QUERY_BLOCK", 8)
    monkeypatch.setattr("methods._search.BLOCK", 97)
    in_blocks = top_k(queries, corpus, 10)
    alone = top_k(queries[7:8], corpus, 10)
    assert torch.equal(whole.scores, in_blocks.scores)
    assert torch.equal(whole.rows, in_blocks.rows)
    assert torch.equal(whole.scores[7:8], alone.scores)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), d=st.integers(2, 80), near=st.floats(1e-7, 1.0))
def test_the_precision_of_the_first_pass_changes_nothing(
    precision: torch.dtype, seed: int, d: int, near: float
) -> None:
    """Not even where documents are so close that it cannot tell them apart."""
    random = np.random.default_rng(seed)
    vectors = normalize(torch.from_numpy(_vectors(random, 1, d) + near * random.normal(size=(300, d))), dim=1)
    corpus, queries = Corpus.from_vectors(vectors.float().numpy()), random.normal(size=(5, d)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("methods._search.fast_precision", lambda device: precision)
        patch.setattr("methods._search.SPARE", 2)
        found = top_k(torch.from_numpy(queries), corpus, 6)
    assert found.rows.tolist() == _by_hand(queries, corpus.shards[0], corpus.priority, 6).tolist()


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**20), d=st.integers(1, 500), scale=st.floats(0.01, 100))
def test_products_lie_within_the_rounding_that_is_allowed_for(
    precision: torch.dtype, seed: int, d: int, scale: float
) -> None:
    random = torch.Generator().manual_seed(seed)
    left = torch.randn(20, d, generator=random)
    right = scale * torch.randn(50, d, generator=random)
    exact = left.double() @ right.double().T
    fast = (left.to(precision) @ right.to(precision).T).double()
    allowed = rounding(left, float(right.norm(dim=1).max()), precision)[:, None] + fast.abs() * unit(precision)
    assert ((fast - exact).abs() <= allowed).all()


def test_bfloat16_is_there_where_the_processor_lists_it() -> None:
    listed = Path("/proc/cpuinfo")
    flags = listed.read_text().split() if listed.exists() else []
    assert has_bfloat16(torch.device("cpu")) is ("avx512_bf16" in flags)


def test_half_as_much_is_done_at_a_time_when_memory_runs_out() -> None:
    asked = []

    def work(some: slice) -> list[int]:
        asked.append(some.stop - some.start)
        if asked[-1] > 3:
            raise torch.OutOfMemoryError
        return list(range(some.start, some.stop))

    assert [row for part in halving(work, 10, 8) for row in part] == list(range(10))
    assert asked == [8, 4, 2, 2, 2, 2, 2]


def test_one_row_too_many_is_an_error() -> None:
    def work(some: slice) -> None:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        list(halving(work, 3, 4))


def test_agrees_with_faiss() -> None:
    random = np.random.default_rng(1)
    vectors, queries = _vectors(random, 5000, 32), _vectors(random, 50, 32)
    index = faiss.IndexFlatIP(32)
    index.add(vectors)
    assert (
        index.search(queries, 20)[1] == top_k(torch.from_numpy(queries), Corpus.from_vectors(vectors), 20).rows.numpy()
    ).all()


def test_excluded_and_skipped_documents_are_never_returned() -> None:
    random = np.random.default_rng(2)
    vectors, queries = _vectors(random, 90, 5), torch.from_numpy(_vectors(random, 6, 5))
    corpus = Corpus.from_vectors(vectors)
    first = top_k(queries, corpus, 3).rows
    exclude = Csr.from_rows(row[:2] for row in first.tolist())
    ranking = top_k(queries, corpus, 90, exclude=exclude, skip=first[:, 2])
    for query in range(6):
        gone = {*first[query, :2].tolist(), *first[:, 2].tolist()}
        assert sorted(ranking.rows[query][ranking.rows[query] >= 0].tolist()) == sorted(set(range(90)) - gone)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**20), shards=st.integers(1, 5))
def test_moved_documents_are_where_they_were_moved_to(seed: int, shards: int) -> None:
    random = np.random.default_rng(seed)
    vectors = _vectors(random, 40, 4)
    corpus = Corpus((), tuple(np.array_split(vectors, shards)), np.arange(40))
    expected = torch.from_numpy(vectors.copy())
    for _ in range(3):  # one on top of the other
        rows = torch.from_numpy(np.sort(random.choice(40, 9, replace=False)))
        places = torch.from_numpy(random.normal(size=(9, 4))).float()
        corpus, expected[rows] = corpus.with_moved(Moved(rows, places)), places
    assert torch.equal(corpus.rows(torch.arange(40)), expected)
    assert torch.equal(torch.cat([block for _, block in corpus.blocks(torch.device("cpu"), size=7)]), expected)
    ids = torch.from_numpy(random.integers(0, 40, 25))
    assert torch.equal(corpus.rows(ids), expected[ids])
    assert (np.concatenate(corpus.shards) == vectors).all()


def test_long_moved_vectors_are_ranked_exactly() -> None:
    """With NUDGE-M the float32 error grows with the length; so must the margin for candidates."""
    random = np.random.default_rng(3)
    vectors = _vectors(random, 400, 64)
    places = 1e4 * (vectors[:200] + 1e-7 * random.normal(size=(200, 64)))
    places[:] = places[0] + 1e-3 * random.normal(size=places.shape)
    corpus = Corpus.from_vectors(vectors).with_moved(Moved(torch.arange(200), torch.from_numpy(places).float()))
    queries = torch.from_numpy(_vectors(random, 5, 64))
    documents = corpus.rows(torch.arange(400)).numpy()
    assert top_k(queries, corpus, 5).rows.tolist() == _by_hand(queries.numpy(), documents, corpus.priority, 5).tolist()


@pytest.mark.parametrize("rows", [[[0, 3], [], [2]], [{5: 2.0}, {1: 1.0, 0: 3.0}], [[]]])
def test_csr_rows_come_back(rows: list) -> None:
    csr = Csr.from_rows(rows)
    back = [csr.columns[csr.offsets[i] : csr.offsets[i + 1]].tolist() for i in range(len(csr))]
    assert back == [list(row) for row in rows]
    order = torch.tensor([len(rows) - 1, 0, 0])
    assert [csr.take(order).take(torch.tensor([i])).columns.tolist() for i in range(3)] == [
        list(rows[i]) for i in order
    ]
