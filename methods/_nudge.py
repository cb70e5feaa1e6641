"""What the methods that move documents towards their train queries share (Zeighami et al. 2024, arXiv 2409.02343)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from methods._contract import Method, Part, Problem, Similarity, check_train
from methods._corpus import Moved, position
from methods._errors import ProblemError
from methods._profile import Plateau, Profile
from methods._tuned import Tuned, VectorTuned

CHUNK = 1_024  # rows at a time: 3 MB for each float64 array over them at d = 384
LOOKS = 257  # values of the profile that are reported


@dataclass(frozen=True)
class Sums:
    """The train queries of each document that has some.

    Attributes:
        rows: (t,) int64, ascending.
        direction: (t, d) float64, their sum g at unit length. Equal sums are equal bits.
        length: (t,) float64, ‖g‖ > 0.
        queries: (t,) int64, their number.
    """

    rows: Tensor
    direction: Tensor
    length: Tensor
    queries: Tensor

    @classmethod
    def of(cls, problem: Problem, *, unit_queries: bool) -> Sums:
        """Adds up train queries in float64 and in their order, each as it is or at unit length.

        Raises:
            ProblemError: when there are none, or they add up to nothing.
        """
        check_train(problem)
        relevant = problem.train.relevant
        rows, place = relevant.columns.unique(return_inverse=True)
        g = torch.zeros(len(rows), problem.corpus.d, dtype=torch.float64)
        for pairs in torch.arange(len(place)).split(CHUNK):
            g.index_add_(0, place[pairs], counted(problem.train.vectors[relevant.rows[pairs]], unit_queries))
        length = torch.linalg.vector_norm(g, dim=1)
        sums = cls(rows, g.div_(length[:, None]), length, torch.bincount(place, minlength=len(rows)))
        if not length.any():
            raise ProblemError("train.vectors: the queries of every document add up to nothing; are they all zero?")
        return sums if (length > 0).all() else sums.keep(length > 0)

    def keep(self, which: Tensor) -> Sums:
        """Some of the documents, marked or by their places."""
        return Sums(self.rows[which], self.direction[which], self.length[which], self.queries[which])

    @cached_property
    def fingerprints(self) -> Tensor:
        """(t,) int64: a hash of each document's sum and number of queries."""
        random = torch.Generator().manual_seed(0)
        factors = torch.randint(2**62, (self.direction.shape[1] + 2,), generator=random) * 2 + 1
        about = torch.stack([self.length, self.queries.double()], dim=1)
        hashes = (about.view(torch.int64) * factors[:2]).sum(1)
        for some in torch.arange(len(hashes)).split(CHUNK):
            hashes[some] += (self.direction[some].view(torch.int64) * factors[2:]).sum(1)
        return hashes


def check_unit_length(name: str, problem: Problem) -> None:
    """Raises ProblemError when a method before this one in the chain has changed the length of documents."""
    if problem.similarity != "cosine":
        raise ProblemError(f"{name} needs document vectors of unit length; chain it before what changes their length")


def counted(queries: Tensor, unit_queries: bool) -> Tensor:
    """(m, d) float64: train queries as they are added up."""
    return torch.nn.functional.normalize(queries.double(), dim=1) if unit_queries else queries.double()


def turn_to(vectors: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """The rotations of documents towards unit directions; one that is parallel or opposite to its own does not turn.

    The part of the direction that is perpendicular to the document is computed as a vector: √(1 − (v·ĝ)²) cancels
    where ĝ is almost v.

    Args:
        vectors: (t, d) documents v.
        direction: (t, d) float64, unit directions ĝ.

    Returns:
        (t, d) float64, where each document turns to, and (t,) float64, the angle at which it arrives.
    """
    towards, stop = torch.empty_like(direction), torch.empty(len(direction), dtype=torch.float64)
    for some in torch.arange(len(direction)).split(CHUNK):
        v, to = vectors[some].double(), direction[some]
        along = (v * to).sum(1) / (v * v).sum(1)
        across = to - along[:, None] * v
        length = across.norm(dim=1)
        parallel = length <= 1e-12 * along.abs()
        towards[some] = torch.where(parallel[:, None], 0.0, across / length[:, None])
        stop[some] = torch.where(parallel, 0.0, torch.atan2(length, along))
    return towards, stop


@dataclass(frozen=True)
class Nudge(Method):
    """Moves every document that has train queries, by closed formulas; their few parameters are chosen.

    Attributes:
        metric: of the queries to choose by.
        gamma: how far documents move, instead of choosing it.
        unit_queries: whether each train query counts alike in g, or by its length; the authors add queries up as
            they are.
    """

    metric: str = "ndcg@10"
    gamma: float | None = None
    unit_queries: bool = False

    @abstractmethod
    def check(self, problem: Problem) -> None:
        """Raises ProblemError for hyperparameters that make no sense, or not with this problem."""

    @abstractmethod
    def choose(self, problem: Problem, sums: Sums, vectors: Tensor) -> Mapping[str, Any]:
        """Values for all hyperparameters that are still None."""

    @abstractmethod
    def place(self, sums: Sums, vectors: Tensor) -> Tensor:
        """(t, ≥ d) float64: where documents come to lie, when nothing is left to choose."""

    @property
    @abstractmethod
    def similarity(self) -> Similarity:
        """How documents are searched where they come to lie."""

    def replaces(self) -> frozenset[Part]:
        """Documents that have train queries."""
        return frozenset({"documents"})

    def fit(self, problem: Problem) -> VectorTuned:
        """Moves the documents that have train queries.

        Raises:
            ProblemError: when no train query, or none to choose by, has a relevant document; for hyperparameters that
                make no sense.
        """
        self.check(problem)
        sums = Sums.of(problem, unit_queries=self.unit_queries)
        vectors = problem.corpus.rows(sums.rows)
        chosen = self.choose(problem, sums, vectors)
        problem.meter.count("touched_documents", len(sums.rows))
        return self._settled(problem, sums, self._moved(sums, vectors, chosen), chosen)

    def update(self, problem: Problem, tuned: Tuned) -> VectorTuned:
        """The same with what was chosen before; looks only at documents whose train queries have changed.

        Raises:
            ProblemError: when documents are missing.
        """
        if not isinstance(tuned, VectorTuned) or tuned.moved is None:
            raise ProblemError(f"{self.name}: there is nothing to update; pass what it was fitted to")
        if problem.corpus.n < tuned.base.n:
            raise ProblemError(f"{self.name}: {problem.corpus.n} documents, once {tuned.base.n}; fit anew")
        self.check(problem)
        sums = Sums.of(problem, unit_queries=self.unit_queries)
        known, place = position(tuned.kept["rows"], sums.rows)
        same = known & (tuned.kept["sums"][place] == sums.fingerprints)
        changed = sums.keep(~same)
        moved = self._moved(changed, problem.corpus.rows(changed.rows), tuned.chosen)
        problem.meter.count("touched_documents", len(changed.rows))
        stay = torch.isin(tuned.moved.rows, sums.rows[same])
        return self._settled(problem, sums, tuned.moved.keep(stay).overlaid(moved), tuned.chosen)

    def _moved(self, sums: Sums, vectors: Tensor, chosen: Mapping[str, Any]) -> Moved:
        """Those that are not where they were."""
        settled = replace(self, **chosen)
        chunks = torch.arange(len(sums.rows)).split(CHUNK)
        places = torch.cat([settled.place(sums.keep(some), vectors[some]).float() for some in chunks])
        left = (places[:, : vectors.shape[1]] != vectors).any(1)
        left |= places[:, vectors.shape[1] :].any(1)
        return Moved(sums.rows[left], places[left])

    def _settled(self, problem: Problem, sums: Sums, moved: Moved, chosen: Mapping[str, Any]) -> VectorTuned:
        return VectorTuned(
            problem.corpus,
            moved,
            similarity=replace(self, **chosen).similarity,
            device=problem.device,
            chosen=chosen,
            kept={"rows": sums.rows, "sums": sums.fingerprints},
        )


def report(problem: Problem, gamma: float, plateau: Plateau, profile: Profile) -> None:
    """Tells the meter what was chosen, and the profile at evenly spaced angles from 0 to its limit."""
    problem.meter.log(gamma=gamma, dev=plateau.value, plateau_width=plateau.width)
    for value in profile.at(torch.linspace(0.0, float(profile.edges[-1]), LOOKS, dtype=torch.float64)).tolist():
        problem.meter.log(profile=value)
