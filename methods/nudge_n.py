"""NUDGE-N: every document turns towards its train queries, at unit length (arXiv 2409.02343, section 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from methods._contests import Turn
from methods._contract import Problem, Similarity, check_dev
from methods._errors import ProblemError
from methods._metrics import Metric
from methods._nudge import Nudge, Sums, check_unit_length, report, turn_to
from methods._profile import Plateau, Profile, dev_profile

GRID = torch.arange(25, dtype=torch.float64) * 0.02  # the values of γ that the authors try


@dataclass(frozen=True)
class NudgeN(Nudge):
    """Turns every document towards its train queries, until ‖d − v‖² = γ or it arrives at g/‖g‖.

    The angle is θ = arccos(1 − γ/2), and γ, a squared distance, is at most 4. It is chosen on the exact profile of the
    dev metric over θ in [0, π]: the middle of the best plateau.

    Attributes:
        grid: whether γ is the smallest of the best among 0, .02, …, .48 instead.
        compat: "reference" chooses as the authors' code does: dev hit@1 on that grid, and documents that point away
            from their queries stay.
    """

    grid: bool = False
    compat: Literal["none", "reference"] = "none"

    @property
    def similarity(self) -> Similarity:
        """By cosine."""
        return "cosine"

    def check(self, problem: Problem) -> None:
        """Raises ProblemError for γ outside [0, 4], or documents that are not of unit length, after NUDGE-M say."""
        if self.gamma is not None and not 0 <= self.gamma <= 4:
            raise ProblemError(
                f"nudge-n: gamma is {self.gamma}, a squared distance on the sphere; pass one from 0 to 4"
            )
        check_unit_length("nudge-n", problem)

    def choose(self, problem: Problem, sums: Sums, vectors: Tensor) -> Mapping[str, Any]:
        """γ, by the dev queries."""
        if self.gamma is not None:
            return {}
        check_dev(problem)
        reference = self.compat == "reference"
        metric = Metric.parse("hit@1" if reference else self.metric)
        profile = dev_profile(self._turn(sums, vectors), problem, metric, math.pi)
        plateau = _best_of_grid(profile) if reference or self.grid else profile.best()
        gamma = 2 - 2 * math.cos(plateau.middle)
        report(problem, gamma, plateau, profile)
        return {"gamma": gamma}

    def place(self, sums: Sums, vectors: Tensor) -> Tensor:
        """(t, d) float64. Arrived documents are g/‖g‖ to the bit, so that those with the same queries tie exactly."""
        angle, turn = math.acos(1 - (self.gamma or 0.0) / 2), self._turn(sums, vectors)
        arrived = (turn.stop > 0) & (turn.stop <= angle)
        return torch.where(arrived[:, None], sums.direction, turn.at(angle))

    def _turn(self, sums: Sums, vectors: Tensor) -> Turn:
        towards, stop = turn_to(vectors, sums.direction)
        if self.compat == "reference":
            stop[stop > math.pi / 2] = 0.0
        return Turn(sums.rows, vectors, towards, stop)


def _best_of_grid(profile: Profile) -> Plateau:
    """The smallest of the best angles on the authors' grid."""
    angles = (1 - GRID / 2).arccos()
    values = profile.at(angles)
    best = int((values > values.max() - 1e-9).nonzero()[0])
    return Plateau(float(angles[best]), float(angles[best]), float(values[best]))
