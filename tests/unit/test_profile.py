"""The exact dev profile against brute force: every document turned, every score computed, every rank counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from methods import Corpus, Csr, Judged, Metric, Problem, fit, parse
from methods._contests import Turn
from methods._nudge import pull
from methods._profile import HAIR, Plateau, Profile, dev_profile
from methods.nudge_n import _turn

METRICS = ["hit@1", "recall@3", "ndcg@5"]


def make_problem(seed: int, *, n: int = 24, d: int = 3, train: int = 20, dev: int = 8) -> Problem:
    """Few dimensions, so that documents arrive, point away from g and tie; with all that the profile must bear:
    duplicate documents, several and graded answers, answers that never move, equal g, a query without an answer,
    exclusions, queries of any length."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, d))
    vectors[3] = vectors[11] = vectors[n - 2]
    unit = normalize(torch.from_numpy(vectors), dim=1).float()

    def judged(m: int, upto: int) -> Judged:
        rows = [
            {
                int(row): float(random.integers(1, 4))
                for row in random.choice(upto, random.integers(1, 4), replace=False)
            }
            for _ in range(m)
        ]
        rows[0] = {1: 1.0, 2: 1.0}  # 1 and 2 share all their train queries if nothing else names them
        rows[-1] = {}
        queries = torch.from_numpy(random.normal(size=(m, d)) * random.uniform(0.2, 3)).float()
        exclude = Csr.from_rows([[int(random.integers(n))] if random.random() < 0.3 else [] for _ in range(m)])
        return Judged([], queries, exclude, relevant=Csr.from_rows(rows))

    return Problem(Corpus.from_vectors(unit.numpy()), judged(train, n // 2), judged(dev, n))


def turns(problem: Problem) -> dict[str, tuple[Turn, float]]:
    """The two families of turns that NUDGE uses, with the limit of each."""
    p = pull(problem, unit_queries=False)
    stop = torch.full((len(p.rows),), math.inf, dtype=torch.float64)
    m = Turn(p.rows, p.vectors, p.g / p.g.norm(dim=1, keepdim=True), stop, math.inf)
    return {"m": (m, math.pi / 2), "n": (_turn(p), math.pi)}


def brute_force(turn: Turn, problem: Problem, metric: Metric, angle: float) -> float:
    """The metric from all scores at one angle."""
    documents = problem.corpus.rows(torch.arange(problem.corpus.n)).double()
    documents *= math.cos(min(angle, turn.stop_of_others))
    documents[turn.rows] = turn.at(angle)
    scores = (normalize(problem.dev.vectors, dim=1).double() @ documents.T).numpy()
    excluded, relevant = problem.dev.exclude, problem.dev.relevant
    scores[excluded.rows, excluded.columns] = -np.inf
    total = 0.0
    for query, document, weight in zip(relevant.rows, relevant.columns, metric.weights(relevant), strict=True):
        own = scores[query, document]
        if own == -np.inf:
            continue
        tied = np.abs(scores[query] - own) < 1e-10
        first = tied & (problem.corpus.priority < problem.corpus.priority[document])
        rank = 1 + int((first | (~tied & (scores[query] > own))).sum())
        total += float(weight * metric.discount(torch.tensor(rank)))
    return total / int((relevant.lengths > 0).sum())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("family", ["m", "n"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**20), share=st.lists(st.floats(0, 1), min_size=12, max_size=12))
def test_profile_equals_brute_force_at_any_angle(family: str, metric: str, seed: int, share: list[float]) -> None:
    problem = make_problem(seed)
    turn, limit = turns(problem)[family]
    measured = Metric.parse(metric)
    profile = dev_profile(turn, problem.corpus, problem.dev, measured, limit)
    middles = ((profile.edges[1:] + profile.edges[:-1]) / 2)[profile.edges.diff() > HAIR][:40]
    angles = torch.cat([torch.tensor([0.0]), limit * torch.tensor(share).double(), middles.float().double()])
    for angle, value in zip(angles.tolist(), profile.at(angles).tolist(), strict=True):
        if angle == 0.0 or (profile.edges - angle).abs().min() > HAIR / 10:
            assert value == pytest.approx(brute_force(turn, problem, measured, angle), abs=1e-9), angle


@pytest.mark.parametrize("name", ["nudge-m", "nudge-n"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_search_reaches_the_dev_value_that_was_promised(name: str, seed: int) -> None:
    problem = make_problem(seed, n=60, d=8, train=60, dev=20)
    metric = Metric.parse("ndcg@10")
    turn, limit = turns(problem)[name[-1]]
    best = dev_profile(turn, problem.corpus, problem.dev, metric, limit).best()
    tuned = fit(parse(name), problem)
    assert metric.mean(tuned.search(problem.dev, 10), problem.dev.relevant) == pytest.approx(best.value, abs=1e-9)
    unmoved = fit(parse("none"), problem)
    assert best.value >= metric.mean(unmoved.search(problem.dev, 10), problem.dev.relevant) - 1e-9


def test_blocks_of_queries_do_not_change_the_profile(monkeypatch) -> None:
    problem = make_problem(7)
    turn, limit = turns(problem)["n"]
    whole = dev_profile(turn, problem.corpus, problem.dev, Metric.parse("ndcg@5"), limit)
    monkeypatch.setattr("methods._profile.PAIRS", 1)
    parts = dev_profile(turn, problem.corpus, problem.dev, Metric.parse("ndcg@5"), limit)
    angles = torch.linspace(0.0, limit, 500, dtype=torch.float64)
    assert torch.allclose(whole.at(angles), parts.at(angles), atol=1e-12)


def _profile(edges: list[float], values: list[float], unmoved: float) -> Profile:
    return Profile(torch.tensor(edges, dtype=torch.float64), torch.tensor(values, dtype=torch.float64), unmoved)


def test_best_is_the_widest_of_the_best_plateaus() -> None:
    best = _profile([0, 1, 1.2, 2, 3], [0.1, 0.7, 0.2, 0.7], 0.1).best()
    assert best == Plateau(2.0, 3.0, pytest.approx(0.7))
    assert best.middle == 2.5


def test_nothing_moves_when_no_angle_is_better_than_none() -> None:
    assert _profile([0, 1, 2], [0.4, 0.5], 0.5).best() == Plateau(0.0, 0.0, 0.5)


def test_a_plateau_too_narrow_for_float32_is_passed_over() -> None:
    assert _profile([0, 1, 1 + 1e-8, 2, 3], [0.1, 0.9, 0.3, 0.2], 0.1).best().value == pytest.approx(0.3)


def test_first_best_is_the_one_with_the_smallest_angle() -> None:
    assert _profile([0, 1, 1.2, 2, 3], [0.1, 0.7, 0.2, 0.7], 0.1).first_best().left == 1.0
