"""Fitting a method, or a chain of them, with its costs where they belong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from methods._contract import Method, OpenEncoder, Part, Problem
from methods._corpus import Corpus
from methods._errors import ProblemError
from methods._queries import Judged, Queries
from methods._search import Ranking
from methods._tuned import Tuned, VectorTuned, reencoded
from methods._tuning import searched, tune

FORMER, LAST = "former", "last"  # the folders of a chain whose last link has a search of its own


def fit(method: Method, problem: Problem) -> Tuned:
    """Fits a method under the phase "fit" and, where it replaced the encoder, re-encodes under "reencode".

    Raises:
        ProblemError: when the problem lacks what the method needs.

    >>> import numpy as np
    >>> from methods import parse
    >>> judged = Judged.from_vectors([[1, 0, 0.8], [1, 0.1, 0.7]], [2, 2])
    >>> problem = Problem.from_vectors(np.eye(3), judged, judged)
    >>> [fit(parse(name), problem).search(judged, k=1).rows.tolist() for name in ("none", "nudge-n")]
    [[[0], [0]], [[2], [2]]]
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
        tuned = tune(method, problem) if method.tune else method.fit(problem)
        if method.join_dev:
            tuned = method.update(replace(problem, train=problem.train.joined(problem.dev)), tuned)
    return reencoded(tuned, problem.meter)


def _drawn(problem: Problem, share: float) -> Judged:
    """A part of the train queries, in their order; a smaller share is part of a larger one."""
    order = torch.randperm(len(problem.train), generator=torch.Generator().manual_seed(problem.seed))
    return problem.train.take(order[: max(1, round(share * len(order)))].sort().values)


@dataclass(frozen=True)
class Chain(Method):
    """Methods one after the other: each is fitted on what the one before it left.

    All but the last search by vectors.
    """

    name: ClassVar[str] = "chain"
    links: Sequence[Method] = ()

    def fit(self, problem: Problem) -> Tuned:
        """Fits every link.

        Raises:
            ProblemError: when a link that is not the last does not search by vectors, or one needs the encoder although
                vectors have changed, or learns from the dev queries by which the next one chooses.
        """
        if any(link.join_dev for link in self.links[:-1]):
            raise ProblemError("join_dev: only the last link of a chain may learn from the dev queries")
        done: list[VectorTuned] = []
        left = problem
        for number, link in enumerate(self.links, 1):
            if "encoder" in link.needs and any(part.query_map or part.moved for part in done):
                raise ProblemError(f"{link.name} needs the encoder, so it comes before any method that changes vectors")
            tuned = fit(link, left)
            if not isinstance(tuned, VectorTuned):
                if number < len(self.links):
                    raise ProblemError(f"{link.name} does not search by vectors, so it can only be the last of a chain")
                return ChainTuned(_joined(problem, left, done), tuned)
            done.append(tuned)
            left = tuned.apply(left)
        return _joined(problem, left, done)

    def update(self, problem: Problem, tuned: Tuned) -> Tuned:  # noqa: ARG002 — whatever they are
        """Raises ProblemError: what each link chose is not known any more."""
        raise ProblemError("a chain cannot be updated; fit it anew, or update its links one after the other")

    def replaces(self) -> frozenset[Part]:
        """What one of the links replaces."""
        return frozenset[Part]().union(*(link.replaces() for link in self.links))

    def query_map(self, d: int) -> nn.Module:
        """The maps of the links that have one, in order."""
        return nn.Sequential(
            *(link.query_map(d) for link in self.links if type(link).query_map is not Method.query_map)
        )

    def load(self, folder: Path, corpus: Corpus, open_encoder: OpenEncoder | None = None) -> Tuned:
        """Opens what was saved, over the corpus that it was fitted on."""
        if not (folder / LAST).exists():
            return super().load(folder, corpus, open_encoder)
        former = VectorTuned.load(folder / FORMER, corpus, self.query_map, open_encoder)
        return ChainTuned(former, self.links[-1].load(folder / LAST, former.corpus, open_encoder))


@dataclass(frozen=True)
class ChainTuned(Tuned):
    """A chain whose last link has a search of its own.

    Attributes:
        former: what all links before it have made.
        last: what the last link has made over the documents as those left them.
    """

    former: VectorTuned
    last: Tuned

    @property
    def chosen(self) -> Mapping[str, Any]:  # type: ignore[override]  # follows from the links
        """What each link chose."""
        return {"links": [*self.former.chosen["links"], dict(self.last.chosen)]}

    def search(self, queries: Queries, k: int) -> Ranking:
        """The k best documents of each query, which goes through the former links first."""
        return self.last.search(self.former.queries(queries), k)

    def save(self, folder: Path) -> None:
        """Writes `former/` and `last/`."""
        self.former.save(folder / FORMER)
        self.last.save(folder / LAST)


def _joined(problem: Problem, left: Problem, done: Sequence[VectorTuned]) -> VectorTuned:
    """One search that does what those of the links do, from the problem of the first to what the last one left."""
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
        {"links": [dict(part.chosen) for part in done]},
    )


def with_trials(method: Method, trials: int) -> Method:
    """The method tuned by so many trials, or each link of a chain, where there is something to search.

    What has trials of its own keeps them.
    """
    if isinstance(method, Chain):
        return replace(method, links=tuple(with_trials(link, trials) for link in method.links))
    return replace(method, tune=trials) if searched(method) and not method.tune else method
