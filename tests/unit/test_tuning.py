"""Tuning by trial: on a toy whose best value is known, and what its trials cost and leave behind."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from problems import WordEncoder, make_split
from torch import nn

from bench.clock import Clock
from methods import (
    Chain,
    Choice,
    Corpus,
    Csr,
    Judged,
    Method,
    Problem,
    ProblemError,
    Queries,
    Range,
    Ranking,
    Space,
    Tuned,
    VectorTuned,
    fit,
    label,
    parse,
    with_trials,
)

CPU = torch.device("cpu")
STEP, BEST = 0.05, 0.7  # radians from one document to the next, and from a query to its document


@dataclass(frozen=True)
class Rotate(Method):
    """Turns queries in the plane; by `BEST` they meet their documents."""

    name: ClassVar[str] = "rotate"
    space: ClassVar[Space] = {"angle": Range(0.0, 1.5), "mirror": Choice((False, True))}
    fitted: ClassVar[list[tuple[Rotate, Problem]]] = []
    angle: float = 0.4
    mirror: bool = False
    limit: float = 9.0
    found: int | None = None

    def fit(self, problem: Problem) -> VectorTuned:
        self.fitted.append((self, problem))
        problem.meter.count("steps", 5)
        problem.meter.log(angle=self.angle)
        if self.angle >= self.limit:
            raise ProblemError(f"rotate: {self.angle:.3f} is too far")
        turn = nn.Linear(2, 2, bias=False)
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        with torch.no_grad():
            turn.weight.copy_(torch.tensor([[cos, -sin], [sin, cos]]) * (-1 if self.mirror else 1))
        return VectorTuned(problem.corpus, query_map=turn, chosen={"found": 1})


def plane(angles: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")


@pytest.fixture
def problem() -> Problem:
    """120 documents on a circle; the query of each is `BEST` behind it."""
    angles = np.arange(120) * STEP

    def judged(rows: range) -> Judged:
        vectors = torch.from_numpy(plane(angles[list(rows)] - BEST))
        return Judged((), vectors, relevant=Csr.from_rows([[row] for row in rows]))

    corpus = Corpus.from_vectors(plane(angles))
    return Problem(corpus, judged(range(10, 90)), judged(range(20, 100, 5)), seed=3, meter=Clock(CPU))


@pytest.fixture(autouse=True)
def fitted() -> Iterator[list[tuple[Rotate, Problem]]]:
    """Each fit of the toy in this test."""
    yield Rotate.fitted
    Rotate.fitted.clear()


def test_finds_the_value_that_is_known_to_be_best(problem: Problem) -> None:
    tuned = fit(Rotate(tune=40), problem)
    assert abs(tuned.chosen["angle"] - BEST) < STEP / 2
    assert tuned.chosen["mirror"] is False
    assert max(problem.meter.curves["tuned_dev"]) > 0.99 > problem.meter.curves["tuned_dev"][0]


def test_default_is_tried_first_and_what_was_written_is_not_searched(problem: Problem, fitted) -> None:
    tuned = fit(Rotate(mirror=True, limit=8.0, tune=6), problem)
    assert fitted[0][0] == Rotate(mirror=True, limit=8.0)
    assert {(tried.mirror, tried.limit, tried.tune) for tried, _ in fitted} == {(True, 8.0, 0)}
    assert len({tried.angle for tried, _ in fitted}) == 6
    assert all(0 <= tried.angle <= 1.5 for tried, _ in fitted)
    assert set(tuned.chosen) == {"found", "angle", "tune"}


def test_a_trial_that_fails_is_a_bad_one(problem: Problem, fitted) -> None:
    tuned = fit(Rotate(limit=1.0, tune=12), problem)
    values = dict(zip((tried.angle for tried, _ in fitted), problem.meter.curves["tuned_dev"], strict=True))
    assert {angle for angle, value in values.items() if value == -math.inf} == {a for a in values if a >= 1.0} != set()
    assert values[tuned.chosen["angle"]] == max(values.values()) > 0


def test_a_default_that_fails_does_not_stop_the_others(problem: Problem) -> None:
    assert fit(Rotate(limit=0.4, tune=12), problem).chosen["angle"] < 0.4


def test_when_all_trials_fail_the_first_says_why(problem: Problem) -> None:
    with pytest.raises(ProblemError, match=r"^rotate: 0\.400 is too far$"):
        fit(Rotate(limit=0.0, tune=3), problem)


def test_only_the_best_trial_is_reported_and_all_are_counted(problem: Problem) -> None:
    tuned = fit(Rotate(tune=7), problem)
    assert problem.meter.curves["angle"] == [tuned.chosen["angle"]]
    assert problem.meter.counts == {"steps": 5, "trials": 7}
    assert len(problem.meter.curves["tuned_dev"]) == 7


def test_the_earliest_of_equals_wins_and_nothing_is_tried_twice(problem: Problem, fitted) -> None:
    @dataclass(frozen=True)
    class Same(Rotate):
        name: ClassVar[str] = "same"
        space: ClassVar[Space] = {"limit": Choice((9.0, 7.0, 8.0))}

    assert fit(Same(tune=30), problem).chosen["limit"] == 9.0
    assert sorted(tried.limit for tried, _ in fitted) == [7.0, 8.0, 9.0]
    assert problem.meter.counts["trials"] == 3


def test_a_range_of_whole_numbers_gives_whole_numbers(problem: Problem, fitted) -> None:
    @dataclass(frozen=True)
    class Whole(Rotate):
        name: ClassVar[str] = "whole"
        space: ClassVar[Space] = {"number": Range(1, 1000, log=True)}
        number: int = 10

    fit(Whole(tune=20), problem)
    numbers = [tried.number for tried, _ in fitted]
    assert {type(number) for number in numbers} == {int}
    assert sum(number < 32 for number in numbers) > 3, "half of them, by the logarithm"


def test_trials_see_the_share_of_the_train_queries_and_no_dev_query(problem: Problem, fitted) -> None:
    fit(Rotate(tune=3, train_share=0.25, join_dev=True), problem)
    assert [len(given.train) for _, given in fitted] == [20, 20, 20, 20 + 16]


def test_the_dev_metric_is_the_methods_own(problem: Problem) -> None:
    @dataclass(frozen=True)
    class Choosy(Rotate):
        name: ClassVar[str] = "choosy"
        metric: str = "hit@1"

    fit(Choosy(tune=9), problem)
    assert set(problem.meter.curves["tuned_dev"]) <= {0.0, 1.0}, "all queries are alike"


def test_what_was_tuned_goes_on_to_hold(problem: Problem, fitted) -> None:
    method = Rotate(tune=5)
    tuned = fit(method, problem)
    chosen = {"angle": tuned.chosen["angle"], "mirror": False}
    assert tuned.chosen == {"found": 1, "tune": 0, **chosen}
    fitted.clear()
    once = method.update(problem, tuned)
    twice = method.update(problem, once)
    assert once.chosen == twice.chosen == tuned.chosen
    assert [(tried.angle, tried.mirror) for tried, _ in fitted] == 2 * [tuple(chosen.values())]


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (parse("none[tune=9]"), "none: nothing to tune, it has no search space; leave out tune=9"),
        (Rotate(angle=0.5, mirror=True, tune=9), "rotate: nothing to tune, all of its search space is fixed"),
        (Rotate(tune=1), "rotate: tune is 1; pass 2 trials or more, or 0 for none"),
        (Rotate(tune=-3), "rotate: tune is -3; pass 2 trials or more"),
    ],
)
def test_what_cannot_be_tuned_says_so(problem: Problem, fitted, method: Method, why: str) -> None:
    with pytest.raises(ProblemError, match=why) as error:
        fit(method, problem)
    assert "\n" not in str(error.value)
    assert not fitted


def test_nothing_to_choose_by_is_found_before_anything_is_fitted(problem: Problem, fitted) -> None:
    silent = replace(problem, dev=problem.dev.take(torch.arange(0)))
    with pytest.raises(ProblemError, match="dev"):
        fit(Rotate(tune=3), silent)
    assert not fitted


@dataclass(frozen=True)
class Slow(Method):
    """Replaces the encoder; a fit takes a second of the time that the test tells, encoding all documents ten."""

    name: ClassVar[str] = "slow"
    space: ClassVar[Space] = {"turn": Range(0, 1000)}
    now: ClassVar[list[float]] = [0.0]
    turn: int = 1

    def fit(self, problem: Problem) -> VectorTuned:
        self.now[0] += 1
        return VectorTuned(problem.corpus, encoder=SlowEncoder(self.turn))


class SlowEncoder(WordEncoder):
    def encode(self, items, role):
        Slow.now[0] += 10 * (role == "document")
        return super().encode(items, role)


def test_every_trial_is_paid_for_and_the_best_one_is_encoded_once(monkeypatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: Slow.now[0])
    clock = Clock(CPU)
    fit(Slow(tune=4), replace(make_split().problem, meter=clock))
    assert clock.seconds == {"fit": 4.0, "reencode": 40.0}


def test_each_link_of_a_chain_has_its_own_trials(problem: Problem, fitted) -> None:
    chain = Chain((Rotate(tune=3), parse("nudge-n"), parse("nudge-m[tune=20]")))
    rotated, nudged, moved = fit(chain, problem).chosen["links"]
    assert len(fitted) == 3
    assert set(rotated) == {"found", "angle", "mirror", "tune"}
    assert set(nudged) == {"gamma"}
    assert set(moved) == {"gamma", "step", "normalise", "tune"}


@pytest.mark.parametrize(
    ("written", "tuned"),
    [
        ("none", "none"),
        ("nudge-m", "nudge-m[tune=5]"),
        ("nudge-m[step=sum]", "nudge-m[tune=5,step=sum]"),
        ("nudge-m[step=sum,normalise=true]", "nudge-m[step=sum,normalise=true]"),
        ("nudge-m[tune=9]", "nudge-m[tune=9]"),
        ("adaptor+nudge-n", "adaptor[tune=5]+nudge-n"),
        ("adaptor[tune=9]+nudge-m", "adaptor[tune=9]+nudge-m[tune=5]"),
    ],
)
def test_trials_are_given_to_what_has_something_to_search(written: str, tuned: str) -> None:
    assert label(with_trials(parse(written), 5)) == tuned
    assert label(with_trials(parse(written), 0)) == written


def test_what_searches_in_its_own_way_can_be_tuned(problem: Problem) -> None:
    class Far(Tuned):
        def __init__(self, offset: int) -> None:
            self.offset = offset

        def search(self, queries: Queries, k: int) -> Ranking:
            first = torch.arange(20, 100, 5)[:, None] + self.offset
            return Ranking(first, torch.ones(len(queries), 1))

        def save(self, folder) -> None: ...

    @dataclass(frozen=True)
    class Own(Method):
        name: ClassVar[str] = "own"
        space: ClassVar[Space] = {"offset": Choice((2, 0, 1))}
        offset: int = 2

        def fit(self, problem: Problem) -> Far:
            return Far(self.offset)

    assert fit(Own(tune=20), problem).chosen == {"offset": 0, "tune": 0}
