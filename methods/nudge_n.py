"""NUDGE-N: every document turns towards its train queries, at unit length (arXiv 2409.02343, section 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from methods import _nudge
from methods._contests import Turn
from methods._contract import Method, Problem
from methods._errors import ProblemError
from methods._profile import Plateau, Profile
from methods._tuned import VectorTuned

GRID = torch.arange(25, dtype=torch.float64) * 0.02  # the values of γ that the authors try


@dataclass(frozen=True)
class NudgeN(Method):
    """Turns every document towards its train queries, until ‖d − v‖² = γ or it arrives at g/‖g‖.

    The angle is θ = arccos(1 − γ/2). γ is chosen on the exact profile of the dev metric over θ in [0, π]: the middle
    of the best plateau.

    Attributes:
        metric: of the dev queries, to choose γ by; `compat` has hit@1.
        gamma: γ in [0, 4] itself, a squared distance, instead of choosing it.
        unit_queries: whether each train query counts alike in g, or by its length; the authors add queries up as
            they are.
        compat: "reference" chooses as the authors' code does: dev hit@1, the grid 0, .02, …, .48, the smallest of
            the best; documents that point away from their queries stay.
    """

    metric: str = "ndcg@10"
    gamma: float | None = None
    unit_queries: bool = False
    compat: Literal["none", "reference"] = "none"

    def fit(self, problem: Problem) -> VectorTuned:
        """Turns the documents that have train queries.

        Raises:
            ProblemError: when no train query, or no dev query, has a relevant document; when document vectors are
                not of unit length, after NUDGE-M say; for γ outside [0, 4].
        """
        if self.gamma is not None and not 0 <= self.gamma <= 4:
            raise ProblemError(
                f"nudge-n: gamma is {self.gamma}, a squared distance on the sphere; pass one from 0 to 4"
            )
        if problem.similarity != "cosine":
            raise ProblemError(
                "nudge-n needs document vectors of unit length; chain it before what changes their length"
            )
        pull = _nudge.pull(problem, unit_queries=self.unit_queries)
        if self.compat == "reference":
            pull = pull.keep((pull.g * pull.vectors).sum(1) >= 0)
        turn = _turn(pull)
        gamma = self.gamma
        if gamma is None:
            reference = self.compat == "reference"
            profile = _nudge.profile(problem, turn, "hit@1" if reference else self.metric, math.pi)
            plateau = _best_of_grid(profile) if reference else profile.best()
            gamma = 2 - 2 * math.cos(plateau.middle)
            _nudge.report(problem, gamma, plateau, profile, len(pull.rows))
        return _nudge.moved(problem, pull.rows, _turned(turn, pull.g, gamma), "cosine")


def _best_of_grid(profile: Profile) -> Plateau:
    """The smallest of the best angles on the authors' grid."""
    angles = (1 - GRID / 2).arccos()
    values = profile.at(angles)
    best = int((values > values.max() - 1e-9).nonzero()[0])
    return Plateau(float(angles[best]), float(angles[best]), float(values[best]))


def _turn(pull: _nudge.Pull) -> Turn:
    """The rotation from v towards g; a document that is parallel or opposite to g does not turn.

    The part of g that is perpendicular to v is computed as a vector: √(‖g‖² − (v·g)²) cancels where g is almost v.
    """
    v = pull.vectors
    along = (v * pull.g).sum(1) / (v * v).sum(1)
    across = pull.g - along[:, None] * v
    length = across.norm(dim=1)
    parallel = length <= 1e-12 * along.abs()
    stop = torch.where(parallel, 0.0, torch.atan2(length, along))
    return Turn(pull.rows, v, torch.where(parallel[:, None], 0.0, across / length[:, None]), stop)


def _turned(turn: Turn, g: Tensor, gamma: float) -> Tensor:
    """(t, d) float64. Arrived documents are g/‖g‖ to the bit, so that those with the same queries tie exactly."""
    angle = math.acos(1 - gamma / 2)
    arrived = (turn.stop > 0) & (turn.stop <= angle)
    return torch.where(arrived[:, None], g / g.norm(dim=1, keepdim=True), turn.at(angle))
