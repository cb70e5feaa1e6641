"""A method: what all queries have in common says nothing about any of them, so it is taken off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from methods import Choice, Method, Part, Problem, ProblemError, Space, VectorTuned


class Shift(nn.Module):
    """Adds a vector to every query."""

    by: Tensor

    def __init__(self, d: int) -> None:
        super().__init__()
        self.register_buffer("by", torch.zeros(d))

    def forward(self, queries: Tensor) -> Tensor:
        """(m, d) to (m, d)."""
        return queries + self.by


@dataclass(frozen=True)
class MeanShift(Method):
    """Takes a part of the mean of the train queries off every query.

    Attributes:
        part: of the mean.
    """

    space: ClassVar[Space] = {"part": Choice((0.25, 0.5, 1.0))}
    part: float = 0.5

    def fit(self, problem: Problem) -> VectorTuned:
        """Takes the mean.

        Raises:
            ProblemError: when there is no train query.
        """
        if not len(problem.train):
            raise ProblemError("train: mean-shift needs queries; add some")
        shift = Shift(problem.corpus.d)
        shift.by.copy_(-self.part * problem.train.vectors.mean(0))
        return VectorTuned(problem.corpus, query_map=shift, similarity=problem.similarity, device=problem.device)

    def replaces(self) -> frozenset[Part]:
        """Queries."""
        return frozenset({"queries"})

    def query_map(self, d: int) -> nn.Module:
        """What `load` fills in."""
        return Shift(d)
