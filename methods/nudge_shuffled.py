"""A control: NUDGE-N on judgements that were dealt to the wrong documents. It must gain nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from methods._contract import Problem
from methods._tuned import Tuned, VectorTuned
from methods.nudge_n import NudgeN


@dataclass(frozen=True)
class NudgeShuffled(NudgeN):
    """A control: NUDGE-N after a permutation of the documents in the train judgements.

    The dev judgements by which γ is chosen stay true.

    Documents are dealt, not queries: a document that keeps its number of train queries, though they are others, still
    moves towards the mean query, and that alone gains a little.
    """

    control: ClassVar[bool] = True

    def fit(self, problem: Problem) -> VectorTuned:
        """Moves documents that have each other's train queries."""
        return super().fit(_dealt(problem))

    def update(self, problem: Problem, tuned: Tuned) -> VectorTuned:
        """The same with γ as it was chosen."""
        return super().update(_dealt(problem), tuned)


def _dealt(problem: Problem) -> Problem:
    dealt = torch.randperm(problem.corpus.n, generator=torch.Generator().manual_seed(problem.seed))
    relevant = problem.train.relevant
    train = replace(problem.train, relevant=replace(relevant, columns=dealt[relevant.columns]))
    return replace(problem, train=train)
