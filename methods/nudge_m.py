"""NUDGE-M: every document moves by one length towards its train queries (arXiv 2409.02343, section 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from methods import _nudge
from methods._contests import Turn
from methods._contract import Method, Problem
from methods._errors import ProblemError
from methods._tuned import VectorTuned


@dataclass(frozen=True)
class NudgeM(Method):
    """Moves every document by γ towards its train queries: d = v + γ·g/‖g‖, not normalised, searched by dot product.

    v + γ·ĝ ranks as cosθ·v + sinθ·ĝ with γ = tanθ, so γ is chosen on the exact profile of the dev metric over
    θ in [0, π/2): the middle of the best plateau.

    Attributes:
        metric: of the dev queries, to choose γ by; `compat` has hit@1.
        gamma: γ ≥ 0 itself, instead of choosing it.
        unit_queries: whether each train query counts alike in g, or by its length; the authors add queries up as
            they are.
        compat: "reference" chooses as the authors' code does: dev hit@1, the left end of its first best plateau.
    """

    metric: str = "ndcg@10"
    gamma: float | None = None
    unit_queries: bool = False
    compat: Literal["none", "reference"] = "none"

    def fit(self, problem: Problem) -> VectorTuned:
        """Moves the documents that have train queries.

        Raises:
            ProblemError: when no train query, or no dev query, has a relevant document; for γ < 0.
        """
        if self.gamma is not None and self.gamma < 0:
            raise ProblemError(f"nudge-m: gamma is {self.gamma}, a length; pass one from 0 on")
        pull = _nudge.pull(problem, unit_queries=self.unit_queries)
        direction = pull.g / pull.g.norm(dim=1, keepdim=True)
        gamma = self.gamma
        if gamma is None:
            stop = pull.g.new_full((len(pull.rows),), math.inf)
            turn = Turn(pull.rows, pull.vectors, direction, stop, math.inf)
            reference = self.compat == "reference"
            profile = _nudge.profile(problem, turn, "hit@1" if reference else self.metric, math.pi / 2)
            plateau = profile.first_best() if reference else profile.best()
            gamma = math.tan(plateau.left if reference else plateau.middle)
            _nudge.report(problem, gamma, plateau, profile, len(pull.rows))
        return _nudge.moved(problem, pull.rows, pull.vectors + gamma * direction, "dot")
