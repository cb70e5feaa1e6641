"""Fitting a method, or a chain of them, with its costs where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from methods._contract import Method, Problem
from methods._errors import ProblemError
from methods._tuned import Tuned, VectorTuned


def fit(method: Method, problem: Problem) -> Tuned:
    """Fits a method under the phase "fit" and, where it replaced the encoder, re-encodes under "reencode".

    Raises:
        ProblemError: when the problem lacks what the method needs.
    """
    if "items" in method.needs and not len(problem.corpus.items):
        raise ProblemError(f"{method.name} needs the documents themselves, and the corpus has only vectors")
    if "encoder" in method.needs and problem.encoder is None:
        raise ProblemError(f"{method.name} needs the encoder, and the problem has none")
    with problem.meter.phase("fit"):
        tuned = method.fit(problem)
    if isinstance(tuned, VectorTuned) and tuned.encoder is not None and tuned.vectors is None:
        with problem.meter.phase("reencode"):
            tuned = tuned.reencode()
    return tuned


@dataclass(frozen=True)
class Chain(Method):
    """Methods one after the other: each is fitted on what the one before it left."""

    name: ClassVar[str] = "chain"
    links: Sequence[Method] = ()

    def fit(self, problem: Problem) -> VectorTuned:
        """Fits every link.

        Raises:
            ProblemError: when a link does not search by vectors, or needs the encoder although vectors have changed.
        """
        done: list[VectorTuned] = []
        left = problem
        for link in self.links:
            if "encoder" in link.needs and any(part.query_map or part.moved for part in done):
                raise ProblemError(f"{link.name} needs the encoder, so it comes before any method that changes vectors")
            tuned = fit(link, left)
            if not isinstance(tuned, VectorTuned):
                raise ProblemError(f"{link.name} does not search by vectors, so it cannot be chained")
            done.append(tuned)
            left = tuned.apply(left)
        maps = [part.query_map for part in done if part.query_map is not None]
        encoded = next((part for part in reversed(done) if part.encoder is not None), None)
        return VectorTuned(
            problem.corpus,
            left.corpus.moved,
            nn.Sequential(*maps) if maps else None,
            None if encoded is None else encoded.encoder,
            None if encoded is None else encoded.vectors,
            left.similarity,
            problem.device,
        )

    def query_map(self, d: int) -> nn.Module:
        """The maps of the links that have one, in order."""
        return nn.Sequential(
            *(link.query_map(d) for link in self.links if type(link).query_map is not Method.query_map)
        )
