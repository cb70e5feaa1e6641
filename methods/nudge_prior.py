"""A control: NUDGE-N that knows which documents have train queries, and nothing of what those say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch.nn.functional import normalize

from methods._contract import Problem
from methods._tuned import Tuned, VectorTuned
from methods.nudge_n import NudgeN


@dataclass(frozen=True)
class NudgePrior(NudgeN):
    """A control: NUDGE-N when every train query is the mean of them all.

    Every document that has been asked for turns towards one and the same vector. What this gains is not learnt from
    queries: it is the knowledge that some documents are asked for and others are not.
    """

    control: ClassVar[bool] = True

    def fit(self, problem: Problem) -> VectorTuned:
        """Moves documents towards the mean query."""
        return super().fit(_averaged(problem))

    def update(self, problem: Problem, tuned: Tuned) -> VectorTuned:
        """The same with γ as it was chosen."""
        return super().update(_averaged(problem), tuned)


def _averaged(problem: Problem) -> Problem:
    unit = normalize(problem.train.vectors, dim=1)
    mean = unit.mean(dim=0, keepdim=True).expand_as(unit)
    return replace(problem, train=replace(problem.train, vectors=mean))
