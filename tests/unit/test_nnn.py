"""Nearest neighbour normalisation against brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import make_hard_problem

from methods import Metric, Nnn, Problem, ProblemError, Queries, fit, parse


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_hand(problem: Problem, queries: Queries, alpha: float, neighbours: int) -> np.ndarray:
    """(m, n) scores of queries at unit length; -inf where excluded."""
    documents = problem.corpus.rows(torch.arange(problem.corpus.n)).double().numpy()
    known = np.sort(documents @ unit(problem.train.vectors.double().numpy()).T, axis=1)[:, ::-1]
    scores = unit(queries.vectors.double().numpy()) @ documents.T - alpha * known[:, :neighbours].mean(1)
    if queries.exclude is not None:
        scores[queries.exclude.rows, queries.exclude.columns] = -np.inf
    return scores


def ndcg(problem: Problem, scores: np.ndarray, k: int) -> float:
    values = []
    for row, own in enumerate(scores):
        pairs = slice(*problem.dev.relevant.offsets[row : row + 2].tolist())
        grades = dict(
            zip(
                problem.dev.relevant.columns[pairs].tolist(),
                problem.dev.relevant.values[pairs].tolist(),
                strict=True,
            )
        )
        if grades:
            order = np.lexsort((problem.corpus.priority, -own.astype(np.float32)))[:k]
            gained = [grades.get(document, 0.0) for document in order]
            ideal = sorted(grades.values(), reverse=True)[:k]
            dcg, best = (sum(g / np.log2(at + 2) for at, g in enumerate(part)) for part in (gained, ideal))
            values.append(dcg / best)
    return float(np.mean(values))


@settings(max_examples=40)
@given(seed=st.integers(0, 2**20), alpha=st.floats(0, 3), neighbours=st.integers(1, 40))
def test_scores_are_lowered_by_the_mean_of_the_nearest_train_queries(seed: int, alpha: float, neighbours: int) -> None:
    problem = make_hard_problem(seed, d=6)
    ranking = fit(Nnn(alpha=alpha, neighbours=neighbours), problem).search(problem.dev, 30)
    expected = by_hand(problem, problem.dev, alpha, neighbours)
    for row, own in enumerate(expected):
        found = ranking.rows[row][ranking.rows[row] >= 0]
        length = float(problem.dev.vectors[row].norm())
        assert sorted(found.tolist()) == np.flatnonzero(np.isfinite(own)).tolist()
        scores = ranking.scores[row, : len(found)] / length
        assert scores.tolist() == pytest.approx(own[found].tolist(), abs=1e-5)


def test_chooses_the_best_pair_of_the_grid_and_the_weakest_of_equals() -> None:
    for seed in range(6):
        problem = make_hard_problem(seed, n=60, d=8, train=40, dev=30)
        tuned = fit(Nnn(), problem)
        values = {
            (alpha, neighbours): ndcg(problem, by_hand(problem, problem.dev, alpha, neighbours), 10)
            for alpha in np.arange(7) / 4
            for neighbours in (1, 2, 4, 8, 16, 32)
        }
        best = next(pair for pair, value in values.items() if value > max(values.values()) - 1e-12)
        assert (tuned.chosen["alpha"], tuned.chosen["neighbours"]) == best
        metric = Metric.parse("ndcg@10")
        reached = metric.mean(tuned.search(problem.dev, 10), problem.dev.relevant)
        assert reached == pytest.approx(max(values.values()), abs=1e-9)


def test_what_is_given_is_not_chosen() -> None:
    problem = make_hard_problem(1, d=6)
    assert set(fit(Nnn(alpha=0.5), problem).chosen) == {"neighbours"}
    assert set(fit(Nnn(neighbours=3), problem).chosen) == {"alpha"}
    silent = replace(problem, dev=problem.dev.take(torch.tensor([], dtype=torch.int64)))
    assert not fit(Nnn(alpha=0.5, neighbours=3), silent).chosen


def test_answers_of_the_train_queries_are_not_looked_at() -> None:
    problem = make_hard_problem(2, d=6)
    nothing = replace(problem.train.relevant, columns=problem.train.relevant.columns.flip(0))
    other = replace(problem, train=replace(problem.train, relevant=nothing))
    once, again = (fit(Nnn(), each) for each in (problem, other))
    assert once.chosen == again.chosen
    assert torch.equal(once.moved.vectors, again.moved.vectors)


def test_the_length_of_queries_changes_nothing() -> None:
    problem = make_hard_problem(3, d=6)
    train = replace(problem.train, vectors=problem.train.vectors * torch.rand(len(problem.train), 1).add(0.5))
    once, again = (fit(Nnn(alpha=1.0, neighbours=4), each) for each in (problem, replace(problem, train=train)))
    longer = replace(problem.dev, vectors=5 * problem.dev.vectors)
    assert torch.equal(once.search(problem.dev, 20).rows, again.search(longer, 20).rows)


def test_blocks_change_nothing(monkeypatch) -> None:
    problem = make_hard_problem(4, n=50, d=6)
    whole = fit(Nnn(), problem)
    monkeypatch.setattr("methods.nnn.BLOCK", 7)
    assert torch.equal(whole.moved.vectors, fit(Nnn(), problem).moved.vectors)


def test_follows_what_a_method_before_it_has_moved() -> None:
    problem = make_hard_problem(5, d=6)
    first = fit(parse("nudge-loo[gamma=1,power=0,offset=0.2]"), problem)
    left = first.apply(problem)
    chained = fit(parse("nudge-loo[gamma=1,power=0,offset=0.2]+nnn[alpha=1,neighbours=4]"), problem)
    ranking = chained.search(problem.dev, 5)
    expected = by_hand(left, first.queries(problem.dev), 1.0, 4)
    for row, own in enumerate(expected):
        assert own[ranking.rows[row]].tolist() == pytest.approx(sorted(own)[::-1][:5], abs=1e-5)


@pytest.mark.parametrize(
    ("method", "said"),
    [(Nnn(alpha=-0.5), "alpha is -0.5; pass one from 0 on"), (Nnn(neighbours=0), "neighbours is 0; pass one from 1")],
)
def test_values_out_of_range_are_refused(method: Nnn, said: str) -> None:
    with pytest.raises(ProblemError, match=f"nnn: {said}"):
        fit(method, make_hard_problem(0))


def test_no_train_query_is_refused() -> None:
    problem = make_hard_problem(0)
    none = replace(problem, train=problem.train.take(torch.tensor([], dtype=torch.int64)))
    with pytest.raises(ProblemError, match="train: nnn needs queries, though not their answers"):
        fit(Nnn(), none)
