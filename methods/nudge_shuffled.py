"""A control: NUDGE-N on judgements that were dealt to the wrong documents. It must gain nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from methods._contract import Method, Problem
from methods._tuned import VectorTuned
from methods.nudge_n import NudgeN


@dataclass(frozen=True)
class NudgeShuffled(Method):
    """A control: NUDGE-N after a permutation of the documents in the train judgements.

    The dev judgements stay true.

    Documents are dealt, not queries: a document that keeps its number of train queries, though they are others, still
    moves towards the mean query, and that alone gains a little.
    """

    def fit(self, problem: Problem) -> VectorTuned:
        """Fits NUDGE-N to documents that have each other's train queries."""
        dealt = torch.randperm(problem.corpus.n, generator=torch.Generator().manual_seed(problem.seed))
        relevant = problem.train.relevant
        train = replace(problem.train, relevant=replace(relevant, columns=dealt[relevant.columns]))
        return NudgeN().fit(replace(problem, train=train))
