"""The exact dev profile against brute force: every document turned, every score computed, every rank counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from problems import make_hard_problem
from torch.nn.functional import normalize

from methods import Corpus, Csr, Judged, Metric, Problem, fit, parse
from methods._contests import TIE, Contests, Curves, Turn, rank_events
from methods._nudge import Sums, turn_to
from methods._profile import HAIR, Plateau, Profile, dev_profile

METRICS = ["hit@1", "recall@3", "ndcg@5"]


def turns(problem: Problem) -> dict[str, tuple[Turn, float]]:
    """The two families of turns that NUDGE uses, with the limit of each."""
    sums = Sums.of(problem, unit_queries=False)
    vectors = problem.corpus.rows(sums.rows)
    stop = torch.full((len(sums.rows),), math.inf, dtype=torch.float64)
    m = Turn(sums.rows, vectors, sums.direction, stop, math.inf)
    return {"m": (m, math.pi / 2), "n": (Turn(sums.rows, vectors, *turn_to(vectors, sums.direction)), math.pi)}


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
        tied = np.abs(scores[query] - own) <= TIE
        first = tied & (problem.corpus.priority < problem.corpus.priority[document])
        rank = 1 + int((first | (~tied & (scores[query] > own))).sum())
        total += float(weight * metric.discount(torch.tensor(rank)))
    return total / int((relevant.lengths > 0).sum())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("family", ["m", "n"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**20), share=st.lists(st.floats(0, 1), min_size=12, max_size=12))
@example(seed=1_048_575, share=[1.2e-7] * 12)  # documents that lie in one place and have hardly parted
def test_profile_equals_brute_force_at_any_angle(family: str, metric: str, seed: int, share: list[float]) -> None:
    problem = make_hard_problem(seed)
    turn, limit = turns(problem)[family]
    measured = Metric.parse(metric)
    profile = dev_profile(turn, problem, measured, limit)
    middles = ((profile.edges[1:] + profile.edges[:-1]) / 2)[profile.edges.diff() > HAIR][:40]
    angles = torch.cat([torch.tensor([0.0]), limit * torch.tensor(share).double(), middles.float().double()])
    for angle, value in zip(angles.tolist(), profile.at(angles).tolist(), strict=True):
        if angle == 0.0 or (profile.edges - angle).abs().min() > HAIR / 10:
            assert value == pytest.approx(brute_force(turn, problem, measured, angle), abs=1e-9), angle


@pytest.mark.parametrize("name", ["nudge-m", "nudge-n"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_search_reaches_the_dev_value_that_was_promised(name: str, seed: int) -> None:
    problem = make_hard_problem(seed, n=60, d=8, train=60, dev=20)
    metric = Metric.parse("ndcg@10")
    turn, limit = turns(problem)[name[-1]]
    best = dev_profile(turn, problem, metric, limit).best()
    tuned = fit(parse(name), problem)
    assert metric.mean(tuned.search(problem.dev, 10), problem.dev.relevant) == pytest.approx(best.value, abs=1e-9)
    unmoved = fit(parse("none"), problem)
    assert best.value >= metric.mean(unmoved.search(problem.dev, 10), problem.dev.relevant) - 1e-9


def test_blocks_of_queries_do_not_change_the_profile(monkeypatch) -> None:
    problem = make_hard_problem(7)
    turn, limit = turns(problem)["n"]
    whole = dev_profile(turn, problem, Metric.parse("ndcg@5"), limit)
    monkeypatch.setattr("methods._profile.CONTESTS", 1)
    monkeypatch.setattr("methods._contenders.PAIRS", 1)
    parts = dev_profile(turn, problem, Metric.parse("ndcg@5"), limit)
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


@pytest.mark.parametrize("slope", [5e-9, -5e-9, 2e-8, -2e-8])
def test_slopes_next_to_zero_keep_their_sign(slope: float) -> None:
    """The authors' code divides by the slope plus 1e-8, which turns small negative ones around."""

    def one(a: float, b: float, priority: int) -> Curves:
        return Curves(*(torch.tensor([x], dtype=torch.float64) for x in (a, b, math.inf)), torch.tensor([priority]))

    own, other = one(0.5, 0.5, 0), one(0.5 - slope, 0.5 + slope, 1)
    rank, events = rank_events(Contests(1, torch.tensor([0]), own, other), math.pi / 2)
    assert rank.tolist() == [1 if slope > 0 else 2]
    assert events.angle.tolist() == pytest.approx([math.pi / 4], abs=1e-6)  # γ = 1
    assert events.change.tolist() == [1 if slope > 0 else -1]


@pytest.mark.parametrize("name", ["nudge-m", "nudge-n", "nudge-loo"])
def test_no_array_has_a_row_a_query_and_a_column_a_document(name: str) -> None:
    """The authors' code has one of dev queries × documents for each γ."""
    n, dev = 100_000, 1_000
    random = torch.Generator().manual_seed(0)
    vectors = normalize(torch.randn(n, 8, generator=random), dim=1)

    def judged(m: int) -> Judged:
        answers = torch.randint(n, (m,), generator=random)
        noise = 0.1 * torch.randn(m, 8, generator=random)
        return Judged([], vectors[answers] + noise, relevant=Csr.from_rows(answers[:, None].tolist()))

    problem = Problem(Corpus.from_vectors(vectors.numpy()), judged(dev), judged(dev))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        fit(parse(name), problem)
    largest = max(event.cpu_memory_usage for event in profiler.events())
    assert 0 < largest < n * dev * 4 / 8, f"{largest / 2**20:.0f} MB"
