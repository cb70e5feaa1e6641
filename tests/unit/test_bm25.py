"""BM25 against the formula, written anew in plain Python."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import make_split

from methods import Bm25, Corpus, Csr, Judged, Picture, Problem, ProblemError, Queries, Unsuited, fit

WORDS = ["red", "green", "blue", "Red", "the", "x", "été", "b2", "old-time", ""]
STOP = {"the"}  # of those above


def words_of(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text.lower()) if len(word) > 1 and word not in STOP]


def by_formula(texts: list[str], query: str, k1: float, b: float) -> list[float]:
    documents = [Counter(words_of(text)) for text in texts]
    mean = sum(document.total() for document in documents) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for word in words_of(query):
            having = sum(word in other for other in documents)
            idf = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            if word in document:
                score += idf * document[word] / (document[word] + k1 * (1 - b + b * document.total() / mean))
        scores.append(score)
    return scores


def problem_of(texts: list[str], asked: dict[str, list[int]], random: np.random.Generator) -> Problem:
    """Documents and train queries as texts; their vectors mean nothing."""
    vectors = np.zeros((len(texts), 2), np.float32)
    vectors[:, 0] = 1
    train = Judged(list(asked), torch.ones(len(asked), 2), relevant=Csr.from_rows(asked.values()))
    return Problem(Corpus.from_vectors(vectors, texts, random.permutation(len(texts))), train, train)


def queries_of(texts: list[str], exclude: Csr | None = None) -> Queries:
    return Queries(texts, torch.ones(len(texts), 2), exclude)


some_text = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
some_texts = st.lists(some_text, min_size=1, max_size=12).map(lambda texts: [*texts, *texts[:3], "red"])


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**20),
    texts=some_texts,
    queries=st.lists(some_text, min_size=1, max_size=4),
    k=st.integers(1, 15),
    k1=st.sampled_from([0.0, 0.9, 1.5]),
    b=st.sampled_from([0.0, 0.4, 1.0]),
)
def test_ranks_all_documents_as_the_formula_does_and_ties_by_priority(
    seed: int, texts: list[str], queries: list[str], k: int, k1: float, b: float
) -> None:
    random = np.random.default_rng(seed)
    n = len(texts)
    problem = problem_of(texts, {}, random)
    barred = [[int(random.integers(n))] if random.random() < 0.5 else [] for _ in queries]
    ranking = fit(Bm25(k1, b), problem).search(queries_of(queries, Csr.from_rows(barred)), k)
    for query, own, rows, scores in zip(queries, barred, ranking.rows, ranking.scores, strict=True):
        expected = np.array(by_formula(texts, query, k1, b))
        expected[own] = -np.inf
        order, places = rows[rows >= 0].tolist(), problem.corpus.priority
        assert len(set(order)) == len(order) == min(k, n - len(own))
        assert scores[: len(order)].tolist() == pytest.approx(expected[order].tolist(), abs=1e-5)
        assert scores[: len(order)].tolist() == pytest.approx(sorted(expected, reverse=True)[: len(order)], abs=1e-5)
        assert scores[len(order) :].isneginf().all()
        # Where the same words stand, or no word of the query, there is no rounding that could part what ties.
        alike = ["" if expected[row] == 0 else sorted(words_of(texts[row])) for row in range(n)]
        for place, row in enumerate(order):
            ahead = [other for other in range(n) if alike[other] == alike[row] and places[other] < places[row]]
            assert set(ahead) - set(own) <= set(order[:place])


def test_expanding_is_the_same_as_documents_that_end_in_their_train_queries() -> None:
    random = np.random.default_rng(0)
    texts = ["red green", "blue", "green"]
    asked = {"blue old": [0, 2], "the sea": [0], "sky": []}
    expanded = fit(Bm25(expand=True), problem_of(texts, asked, random))
    written = fit(Bm25(), replace_texts(expanded.corpus, ["red green blue old the sea", "blue", "green blue old"]))
    queries = queries_of(["sea", "old blue", "sky", "green"])
    ours, theirs = expanded.search(queries, 3), written.search(queries, 3)
    assert torch.equal(ours.rows, theirs.rows)
    assert torch.equal(ours.scores, theirs.scores)
    assert ours.rows[0, 0] == 0


def replace_texts(corpus: Corpus, texts: list[str]) -> Problem:
    nothing = Judged([], torch.empty(0, 2), relevant=Csr.from_rows([]))
    return Problem(replace(corpus, items=texts), nothing, nothing)


def test_documents_without_a_word_of_the_query_come_last_by_priority() -> None:
    problem = problem_of(["red", "the", "green", "", "blue red"], {}, np.random.default_rng(3))
    ranking = fit(Bm25(), problem).search(queries_of(["green", "the unknown", ""]), 5)
    by_priority = problem.corpus.priority.argsort().tolist()
    assert ranking.rows[0].tolist() == [2, *(row for row in by_priority if row != 2)]
    assert ranking.rows[1].tolist() == ranking.rows[2].tolist() == by_priority
    assert (ranking.scores[1:] == 0).all()


def test_train_queries_change_nothing_unless_documents_are_expanded() -> None:
    split = make_split()
    other = replace(split.problem, train=split.problem.dev)
    for expand, same in ((False, True), (True, False)):
        once, again = (fit(Bm25(expand=expand), problem).search(split.test, 20) for problem in (split.problem, other))
        assert torch.equal(once.scores, again.scores) is same


PICTURE = Picture(Path("a.png"), "0")


@pytest.mark.parametrize("part", ["documents", "train queries", "test queries", "no texts"])
def test_pictures_are_refused(part: str) -> None:
    problem = problem_of(["red", "blue"], {"green": [0], "old": [1]}, np.random.default_rng(0))
    queries = queries_of(["red"])
    if part == "documents":
        problem = replace(problem, corpus=replace(problem.corpus, items=["red", PICTURE]))
    if part == "train queries":
        problem = replace(problem, train=replace(problem.train, items=["green", PICTURE]))
    if part == "test queries":
        queries = replace(queries, items=[PICTURE])
    if part == "no texts":
        queries = replace(queries, items=())
    with pytest.raises(Unsuited, match=r"^bm25 reads texts only; it is not for pictures"):
        fit(Bm25(expand=True), problem).search(queries, 2)


@pytest.mark.parametrize("method", [Bm25(k1=-0.1), Bm25(b=-0.1), Bm25(b=1.1)])
def test_values_out_of_range_are_refused(method: Bm25) -> None:
    with pytest.raises(ProblemError, match="pass k1 from 0 on and b from 0 to 1"):
        fit(method, make_split().problem)


def test_documents_without_words_are_refused() -> None:
    with pytest.raises(ProblemError, match="bm25: no document has a word"):
        fit(Bm25(), problem_of(["the", "x", ""], {}, np.random.default_rng(0)))


def test_nothing_to_expand_with_is_refused() -> None:
    with pytest.raises(ProblemError, match=r"train\.relevant: no query has a relevant document"):
        fit(Bm25(expand=True), problem_of(["red"], {"old": []}, np.random.default_rng(0)))


def test_loading_over_another_corpus_is_refused(tmp_path) -> None:
    random = np.random.default_rng(0)
    fit(Bm25(), problem_of(["red", "blue"], {}, random)).save(tmp_path)
    with pytest.raises(ProblemError, match="fitted on 2 × 2 document vectors, not on 3 × 2"):
        Bm25().load(tmp_path, problem_of(["red", "blue", "red"], {}, random).corpus)
