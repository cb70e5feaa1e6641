"""Fitting a method, or a chain of them, with its costs where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import nn

from methods._contract import Judged, Method, Problem
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
    if not 0 < method.train_share <= 1:
        raise ProblemError(f"{method.name}: train_share is {method.train_share}; pass a part of 1, above 0")
    with problem.meter.phase("fit"):
        if method.train_share < 1:
            problem = replace(problem, train=_drawn(problem, method.train_share))
        tuned = method.fit(problem)
        if method.join_dev:
            tuned = method.update(replace(problem, train=problem.train.joined(problem.dev)), tuned)
    if isinstance(tuned, VectorTuned) and tuned.encoder is not None and tuned.vectors is None:
        with problem.meter.phase("reencode"):
            tuned = tuned.reencode()
    return tuned


def _drawn(problem: Problem, share: float) -> Judged:
    """A part of the train queries, in their order; a smaller share is part of a larger one."""
    order = torch.randperm(len(problem.train), generator=torch.Generator().manual_seed(problem.seed))
    return problem.train.take(order[: max(1, round(share * len(order)))].sort().values)


@dataclass(frozen=True)
class Chain(Method):
    """Methods one after the other: each is fitted on what the one before it left."""

    name: ClassVar[str] = "chain"
    links: Sequence[Method] = ()

    def fit(self, problem: Problem) -> VectorTuned:
        """Fits every link.

        Raises:
            ProblemError: when a link does not search by vectors, or needs the encoder although vectors have changed,
                or learns from the dev queries by which the next one chooses.
        """
        if any(link.join_dev for link in self.links[:-1]):
            raise ProblemError("join_dev: only the last link of a chain may learn from the dev queries")
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
        encoders = [part.encoder for part in done if part.encoder is not None]
        vectors = [part.vectors for part in done if part.vectors is not None]
        return VectorTuned(
            problem.corpus,
            left.corpus.moved,
            nn.Sequential(*maps) if maps else None,
            encoders[-1] if encoders else None,
            vectors[-1] if vectors else None,
            left.similarity,
            problem.device,
        )

    def update(self, problem: Problem, tuned: Tuned) -> Tuned:  # noqa: ARG002 — whatever they are
        """Raises ProblemError: what each link chose is not known any more."""
        raise ProblemError("a chain cannot be updated; fit it anew, or update its links one after the other")

    def query_map(self, d: int) -> nn.Module:
        """The maps of the links that have one, in order."""
        return nn.Sequential(
            *(link.query_map(d) for link in self.links if type(link).query_map is not Method.query_map)
        )
