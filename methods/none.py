"""Search as the encoder gives it: the baseline of every table."""

from __future__ import annotations

from dataclasses import dataclass

from methods._contract import Method, Problem
from methods._tuned import VectorTuned


@dataclass(frozen=True)
class Untuned(Method):
    """Searches as the encoder gives it."""

    def fit(self, problem: Problem) -> VectorTuned:
        """Returns the search over the vectors as they are."""
        return VectorTuned(problem.corpus, similarity=problem.similarity, device=problem.device)
