"""Leaving a train query out, against doing so: a fresh fit without it, and a search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import make_hard_problem
from torch.nn.functional import normalize

from methods import Meter, Metric, NudgeLoo, NudgeM, Problem, fit
from methods._leave_one_out import Ladder, leave_one_out
from methods._nudge import Sums


class Log(Meter):
    """Keeps all values of each curve."""

    def __init__(self) -> None:
        self.curves: dict[str, list[float]] = {}

    def log(self, **values: float) -> None:
        for name, value in values.items():
            self.curves.setdefault(name, []).append(value)


def without(problem: Problem, row: int) -> Problem:
    others = torch.tensor([other for other in range(len(problem.train)) if other != row])
    return replace(problem, train=problem.train.take(others))


def brute_force(problem: Problem, method: NudgeLoo, metric: Metric) -> float:
    """The mean over the train queries, each searched for after a fit to the others."""
    values = []
    for row in (problem.train.relevant.lengths > 0).nonzero()[:, 0].tolist():
        query = problem.train.take(torch.tensor([row]))
        values.append(metric.mean(method.fit(without(problem, row)).search(query, metric.k), query.relevant))
    return float(np.mean(values))


@pytest.mark.parametrize("unit_queries", [False, True])
@pytest.mark.parametrize("name", ["hit@1", "recall@3", "ndcg@5"])
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    gamma=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    power=st.sampled_from([0.0, 0.5, 1.0]),
    share=st.floats(0, 1),
)
def test_every_score_equals_that_of_a_fit_without_the_query(
    name: str, unit_queries: bool, seed: int, gamma: float, power: float, share: float
) -> None:
    problem, metric = make_hard_problem(seed), Metric.parse(name)
    ladder = Ladder((0.0, 0.3, 1.0, 4.0), (0.0, 0.5, 1.0))
    sums = Sums.of(problem, unit_queries=unit_queries)
    judge = leave_one_out(problem, sums, problem.corpus.rows(sums.rows), metric, ladder, unit_queries=unit_queries)
    profile = judge.profile(gamma, power)
    offsets = [
        0.0,
        2 * share,
        *((profile.edges[1:] + profile.edges[:-1]) / 2)[profile.edges.diff() > 1e-5][:2].tolist(),
    ]
    for offset in offsets:
        if offset and (profile.edges - offset).abs().min() < 1e-6:
            continue
        method = NudgeLoo(gamma=gamma, power=power, offset=offset, unit_queries=unit_queries)
        said = float(profile.at(torch.tensor([offset], dtype=torch.float64)))
        assert said == pytest.approx(brute_force(problem, method, metric), abs=1e-9), offset


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_chooses_the_best_of_its_ladder(seed: int) -> None:
    problem = make_hard_problem(seed, n=60, d=8, train=60, dev=20)
    log = Log()
    tuned = NudgeLoo().fit(replace(problem, meter=log))
    assert set(tuned.chosen) == {"gamma", "power", "offset"}
    assert log.curves["left_out"] == [max(log.curves["profile"])]
    chosen = replace(NudgeLoo(), **tuned.chosen)
    assert log.curves["left_out"][0] == pytest.approx(brute_force(problem, chosen, Metric.parse("ndcg@10")), abs=1e-9)


def test_blocks_and_screening_change_nothing(monkeypatch) -> None:
    problem = make_hard_problem(3, n=200, d=6, train=150, dev=10)
    whole = NudgeLoo().fit(problem)
    monkeypatch.setattr("methods._contenders.PAIRS", 1)
    monkeypatch.setattr("methods._nudge.CHUNK", 7)
    parts = NudgeLoo().fit(problem)
    assert parts.chosen == whole.chosen
    assert torch.equal(parts.moved.vectors, whole.moved.vectors)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_documents_lie_where_the_formula_says(power: float) -> None:
    problem = make_hard_problem(5, d=6)
    sums = Sums.of(problem, unit_queries=False)
    v = problem.corpus.rows(sums.rows).double()
    expected = normalize(v + 0.7 * sums.queries[:, None] ** power * sums.direction, dim=1)
    tuned = NudgeLoo(gamma=0.7, power=power, offset=0.25).fit(problem)
    moved = tuned.corpus.rows(sums.rows)
    assert torch.allclose(moved[:, :-1].double(), expected, atol=1e-6)
    assert (moved[:, -1] == -0.25).all()
    others = torch.tensor([row for row in range(problem.corpus.n) if row not in sums.rows])
    assert (tuned.corpus.rows(others)[:, -1] == 0).all()


def test_without_force_and_offset_it_is_nudge_m_at_unit_length() -> None:
    problem = make_hard_problem(6, d=6)
    ours = NudgeLoo(gamma=0.7, power=0.0, offset=0.0).fit(problem)
    theirs = NudgeM(gamma=0.7, normalise=True).fit(problem)
    assert torch.allclose(ours.moved.vectors, theirs.moved.vectors, atol=1e-6)
    assert ours.corpus.d == 6
    assert ours.similarity == "cosine"


def test_an_offset_counts_alike_for_long_and_short_queries() -> None:
    problem = make_hard_problem(7, d=6)
    tuned = NudgeLoo(gamma=0.7, power=0.0, offset=0.3).fit(problem)
    longer = replace(problem.dev, vectors=5 * problem.dev.vectors)
    assert torch.equal(tuned.search(problem.dev, 20).rows, tuned.search(longer, 20).rows)


def test_dev_queries_are_not_asked() -> None:
    problem = make_hard_problem(8, d=6)
    silent = replace(problem, dev=problem.dev.take(torch.tensor([], dtype=torch.int64)))
    assert NudgeLoo().fit(silent).chosen == NudgeLoo().fit(problem).chosen


def test_joining_the_dev_queries_is_a_fit_to_both_at_what_was_chosen() -> None:
    problem = make_hard_problem(9, n=60, d=8, train=60, dev=20)
    joined = fit(NudgeLoo(join_dev=True), problem)
    both = replace(problem, train=problem.train.joined(problem.dev))
    expected = replace(NudgeLoo(), **NudgeLoo().fit(problem).chosen).fit(both)
    assert torch.equal(joined.moved.rows, expected.moved.rows)
    assert torch.equal(joined.moved.vectors, expected.moved.vectors)
