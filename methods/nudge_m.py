"""NUDGE-M: every document moves by one length towards its train queries (arXiv 2409.02343, section 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from methods._contests import Turn
from methods._contract import Problem, Similarity, check_dev
from methods._errors import ProblemError
from methods._metrics import Metric
from methods._nudge import Nudge, Sums, report
from methods._profile import dev_profile
from methods._space import Choice, Space


@dataclass(frozen=True)
class NudgeM(Nudge):
    """Moves every document by γ towards its train queries: d = v + γ·g/‖g‖, not normalised, searched by dot product.

    v + γ·ĝ ranks as cosθ·v + sinθ·ĝ with γ = tanθ, so γ is chosen on the exact profile of the dev metric over
    θ in [0, π/2): the middle of the best plateau.

    Attributes:
        step: "unit" is g/‖g‖; "sum" is g itself, so that a document with more train queries moves farther.
        normalise: whether documents are brought back to unit length once γ is chosen.
        compat: "reference" chooses as the authors' code does: dev hit@1, the left end of its first best plateau.
    """

    space: ClassVar[Space] = {"step": Choice(("unit", "sum")), "normalise": Choice((False, True))}
    step: Literal["unit", "sum"] = "unit"
    normalise: bool = False
    compat: Literal["none", "reference"] = "none"

    @property
    def similarity(self) -> Similarity:
        """By dot product, unless documents are brought back to unit length."""
        return "cosine" if self.normalise else "dot"

    def check(self, problem: Problem) -> None:  # noqa: ARG002 — it moves any document
        """Raises ProblemError for γ < 0."""
        if self.gamma is not None and self.gamma < 0:
            raise ProblemError(f"nudge-m: gamma is {self.gamma}, a length; pass one from 0 on")

    def choose(self, problem: Problem, sums: Sums, vectors: Tensor) -> Mapping[str, Any]:
        """γ, by the dev queries."""
        if self.gamma is not None:
            return {}
        check_dev(problem)
        still = torch.full((len(sums.rows),), math.inf, dtype=torch.float64)
        turn = Turn(sums.rows, vectors, self._direction(sums), still, math.inf)
        reference = self.compat == "reference"
        metric = Metric.parse("hit@1" if reference else self.metric)
        profile = dev_profile(turn, problem, metric, math.pi / 2)
        plateau = profile.first_best() if reference else profile.best()
        gamma = math.tan(plateau.left if reference else plateau.middle)
        report(problem, gamma, plateau, profile)
        return {"gamma": gamma}

    def place(self, sums: Sums, vectors: Tensor) -> Tensor:
        """(t, d) float64: v + γ·ĝ."""
        places = vectors + (self.gamma or 0.0) * self._direction(sums)
        return torch.nn.functional.normalize(places, dim=1) if self.normalise else places

    def _direction(self, sums: Sums) -> Tensor:
        return sums.direction if self.step == "unit" else sums.direction * sums.length[:, None]
