"""A candidate of our own: NUDGE-M at unit length, with a force and an offset, chosen by leaving train queries out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from methods._contests import TIE
from methods._contract import Part, Problem, Similarity
from methods._corpus import Moved
from methods._errors import ProblemError
from methods._leave_one_out import SINK, Ladder, leave_one_out, turned
from methods._maps import Lengthened
from methods._metrics import Metric
from methods._nudge import Nudge, Sums, check_unit_length, turn_to
from methods._tuned import VectorTuned

GAMMAS = (0.0, *(2.0 ** (half / 2) for half in range(-10, 9)))
POWERS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class NudgeLoo(Nudge):
    """Moves a document with n train queries to v + γ·nᵃ·g/‖g‖ at unit length, and lowers its score by b.

    (γ, a, b) are those at which the train queries are answered best when each is scored as if it had not been asked.
    That needs no dev queries, so they may join the train queries (`join_dev`). γ is one of 20 values, a of 3, and b is
    the middle of the best plateau of an exact profile.

    Where documents that have been asked for are pulled towards what was asked, all others fall behind by as much; the
    offset is there to give them their due.

    Attributes:
        power: a ≥ 0, instead of choosing it; 0 moves every document by the same force.
        offset: b from 0 to 2, instead of choosing it; 0 leaves documents without train queries to their fate.
    """

    power: float | None = None
    offset: float | None = None

    @property
    def similarity(self) -> Similarity:
        """The offset is one coordinate more, so that only the dot product knows it."""
        return "dot" if self.offset else "cosine"

    def replaces(self) -> frozenset[Part]:
        """Documents, and by the coordinate of the offset queries too."""
        return frozenset({"documents", "queries"})

    def check(self, problem: Problem) -> None:
        """Raises ProblemError for values out of range, or documents that are not of unit length, after NUDGE-M say."""
        for name, value, most in (
            ("gamma", self.gamma, None),
            ("power", self.power, None),
            ("offset", self.offset, SINK),
        ):
            if value is not None and not 0 <= value <= (most or value):
                raise ProblemError(f"nudge-loo: {name} is {value}; pass one from 0 {f'to {most:g}' if most else 'on'}")
        check_unit_length("nudge-loo", problem)

    def choose(self, problem: Problem, sums: Sums, vectors: Tensor) -> Mapping[str, Any]:
        """What is still None of γ, a and b, by the train queries."""
        fixed = {"gamma": self.gamma, "power": self.power, "offset": self.offset}
        if None not in fixed.values():
            return {}
        ladder = Ladder(
            GAMMAS if self.gamma is None else (self.gamma,), POWERS if self.power is None else (self.power,)
        )
        metric = Metric.parse(self.metric)
        judge = leave_one_out(problem, sums, vectors, metric, ladder, unit_queries=self.unit_queries)
        best, found = -1.0, {}
        for gamma, power in ladder.rungs():
            profile = judge.profile(gamma, power)
            if self.offset is None:
                plateau = profile.best()
                value, offset = plateau.value, plateau.middle
            else:
                offset = self.offset
                value = float(profile.at(torch.tensor([offset], dtype=torch.float64)))
            problem.meter.log(profile=value)
            if value > best + TIE:
                best, found = value, {"gamma": gamma, "power": power, "offset": offset}
        problem.meter.log(**found, left_out=best)
        return {name: value for name, value in found.items() if fixed[name] is None}

    def place(self, sums: Sums, vectors: Tensor) -> Tensor:
        """(t, d) float64, or (t, d + 1) with an offset."""
        towards, stop = turn_to(vectors, sums.direction)
        angle = turned(stop, sums.queries, self.gamma or 0.0, self.power or 0.0)[:, None]
        places = angle.cos() * vectors + angle.sin() * towards
        return nn.functional.pad(places, (0, 1), value=-self.offset) if self.offset else places

    def query_map(self, d: int) -> nn.Module:  # noqa: ARG002 — any
        """The coordinate that the offset is multiplied by, if there is one."""
        return Lengthened()

    def _settled(self, problem: Problem, sums: Sums, moved: Moved, chosen: Mapping[str, Any]) -> VectorTuned:
        lengthened = Lengthened()
        lengthened.on.fill_(bool(replace(self, **chosen).offset))
        return replace(super()._settled(problem, sums, moved, chosen), query_map=lengthened)
