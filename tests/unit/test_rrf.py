"""Reciprocal rank fusion against a fusion in plain Python."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import make_split, small

from methods import Bm25, Judged, Picture, Problem, Rrf, Unsuited, fit, load_method, parse


def fused(problem: Problem, queries: Judged, method: Bm25, depth: int) -> np.ndarray:
    """(m, n) scores; -inf where excluded."""
    n, corpus = problem.corpus.n, problem.corpus
    words = fit(method, problem).search(queries, n)
    dots = queries.vectors.double().numpy() @ corpus.rows(torch.arange(n)).double().numpy().T
    scores = np.zeros((len(queries), n))
    for query in range(len(queries)):
        barred = queries.exclude.columns[slice(*queries.exclude.offsets[query : query + 2])].tolist()
        dots[query, barred] = -np.inf
        by_words = [row for row, score in zip(words.rows[query], words.scores[query], strict=True) if score > 0]
        by_vectors = np.lexsort((corpus.priority, -dots[query].astype(np.float32)))[: n - len(barred)]
        for listed in (by_words[:depth], by_vectors[:depth]):
            for rank, row in enumerate(listed, 1):
                scores[query, row] += 1 / (60 + rank)
        scores[query, barred] = -np.inf
    return scores


@settings(max_examples=25)
@given(seed=st.integers(0, 2**20), depth=st.integers(1, 70), k=st.integers(1, 70), expand=st.booleans())
def test_scores_are_the_sums_of_reciprocal_ranks(seed: int, depth: int, k: int, expand: bool) -> None:
    split = make_split(seed)
    priority = np.random.default_rng(seed).permutation(60)
    problem = replace(split.problem, corpus=replace(split.problem.corpus, priority=priority))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("methods.rrf.DEPTH", depth)
        ranking = fit(Rrf(expand=expand), problem).search(split.test, k)
    expected = fused(problem, split.test, Bm25(expand=expand), depth)
    for own, rows, scores in zip(expected, ranking.rows.tolist(), ranking.scores, strict=True):
        order = [row for row in np.lexsort((priority, -own.astype(np.float32)))[:k] if own[row] >= 0]
        assert rows == order + [-1] * (k - len(order))
        assert scores[: len(order)].tolist() == pytest.approx(own[order].tolist(), abs=1e-7)
        assert scores[len(order) :].isneginf().all()


def test_a_query_without_known_words_is_answered_by_vectors_alone() -> None:
    split = make_split()
    queries = replace(split.test, items=["unknown"] * len(split.test))
    ranking = fit(Rrf(), split.problem).search(queries, 20)
    assert torch.equal(ranking.rows, fit(parse("none"), split.problem).search(queries, 20).rows)


def test_as_the_last_link_it_fuses_with_the_vectors_that_it_was_left() -> None:
    split = make_split()
    links = (small(load_method("adaptor")()), load_method("nudge-n")())
    left, queries = split.problem, split.test
    for link in links:
        tuned = fit(link, left)
        left, queries = tuned.apply(left), tuned.queries(queries)
    chained = fit(replace(parse("none+rrf"), links=(*links, Rrf())), split.problem).search(split.test, 60)
    by_hand = fit(Rrf(), left).search(queries, 60)
    assert torch.equal(chained.rows, by_hand.rows)
    assert torch.equal(chained.scores, by_hand.scores)
    assert not torch.equal(chained.rows, fit(Rrf(), split.problem).search(split.test, 60).rows)


def test_pictures_are_refused() -> None:
    problem = make_split().problem
    pictures = [Picture(None, str(row)) for row in range(problem.corpus.n)]
    with pytest.raises(Unsuited, match="bm25 reads texts only"):
        fit(Rrf(), replace(problem, corpus=replace(problem.corpus, items=pictures)))
