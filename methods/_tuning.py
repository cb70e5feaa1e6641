"""Hyperparameters chosen by trial: the best of some fits, by the dev queries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from methods._contract import Meter, Method, Problem, check_dev
from methods._errors import ProblemError
from methods._metrics import Metric
from methods._space import Choice, Range, Space
from methods._tuned import Tuned, reencoded

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def searched(method: Method) -> Space:
    """The part of the method's search space that is open: what does not have its default value is fixed."""
    return {name: part for name, part in method.space.items() if getattr(method, name) == getattr(type(method), name)}


def tune(method: Method, problem: Problem) -> Tuned:
    """Fits a method at `method.tune` points of its search space, and keeps the fit with the best dev metric.

    The first point is the method as it is; the tree-structured Parzen estimator (Bergstra et al. 2011) draws the
    others, seeded by the problem. A point that comes again is not fitted again. Among equals the earliest wins. The
    dev metric is the method's own `metric` where it has one, NDCG@10 otherwise.

    The meter is told the number of trials and the dev metric of each, -inf where a trial failed, and then what the
    best one reported.

    Raises:
        ProblemError: when there is nothing to search or nothing to choose by; the first one, when all trials raise it.
    """
    if method.tune < 2:
        raise ProblemError(f"{method.name}: tune is {method.tune}; pass 2 trials or more, or 0 for none")
    if not searched(method):
        why = "all of its search space is fixed" if method.space else "it has no search space"
        raise ProblemError(f"{method.name}: nothing to tune, {why}; leave out tune={method.tune}")
    check_dev(problem)
    best = max(_trials(method, problem), key=lambda trial: trial.dev)
    if isinstance(best.outcome, ProblemError):
        raise best.outcome
    best.reports.pass_on()
    return best.outcome


class Reports(Meter):
    """Keeps what a trial counts and logs until it is known to be the best; its phases are timed at once."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._kept: list[Callable[[], None]] = []

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Times what runs inside it."""
        return self._meter.phase(name)

    def count(self, name: str, n: int = 1) -> None:
        """Keeps `n` for a count."""
        self._kept.append(partial(self._meter.count, name, n))

    def log(self, **values: float) -> None:
        """Keeps one value for each named curve."""
        self._kept.append(partial(self._meter.log, **values))

    def note(self, text: str) -> None:
        """Keeps a note."""
        self._kept.append(partial(self._meter.note, text))

    def spent(self, seconds: float) -> None:
        """Adds to the phase that is running."""
        self._meter.spent(seconds)

    def pass_on(self) -> None:
        """Tells it all to the meter of the problem."""
        for report in self._kept:
            report()


@dataclass(frozen=True)
class Trial:
    """One fit.

    Attributes:
        dev: its dev metric; -inf when it failed.
        outcome: what was fitted, or why it failed.
        reports: what it counted and logged.
    """

    dev: float
    outcome: Tuned | ProblemError
    reports: Reports


def _trials(method: Method, problem: Problem) -> Iterator[Trial]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=problem.seed))
    space = {name: _distribution(part) for name, part in searched(method).items()}
    study.enqueue_trial({name: getattr(method, name) for name in space})
    known: dict[tuple[Any, ...], float] = {}
    for _ in range(method.tune):
        asked = study.ask(space)
        point = tuple(asked.params[name] for name in space)
        if point not in known:
            trial = _trial(method, problem, asked.params)
            problem.meter.count("trials")
            problem.meter.log(tuned_dev=trial.dev)
            known[point] = trial.dev
            yield trial
        study.tell(asked, known[point])


def _trial(method: Method, problem: Problem, values: Mapping[str, Any]) -> Trial:
    settings = {**values, "tune": 0}
    metric = Metric.parse(getattr(method, "metric", "ndcg@10"))
    reports = Reports(problem.meter)
    try:
        tuned = reencoded(replace(method, **settings).fit(replace(problem, meter=reports)), problem.meter)
        dev = metric.mean(tuned.search(problem.dev, metric.k), problem.dev.relevant)
    except ProblemError as error:
        return Trial(-math.inf, error, reports)
    return Trial(dev, tuned.with_chosen(settings), reports)


def _distribution(part: Range | Choice) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(part, Choice):
        return CategoricalDistribution(part.values)
    if isinstance(part.low, int):
        return IntDistribution(part.low, int(part.high), log=part.log)
    return FloatDistribution(part.low, part.high, log=part.log)
