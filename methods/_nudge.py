"""What NUDGE-M and NUDGE-N share (Zeighami, Wellmer, Parameswaran 2024, arXiv 2409.02343)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from methods._contests import Turn
from methods._contract import Problem, Similarity, check_answers
from methods._corpus import Moved
from methods._metrics import Metric
from methods._profile import Plateau, Profile, dev_profile
from methods._tuned import VectorTuned

LOOKS = 257  # values of the profile that are reported


@dataclass(frozen=True)
class Pull:
    """Documents that have train queries, and where those pull them.

    Attributes:
        rows: (t,) int64, ascending.
        vectors: (t, d) float64, the documents.
        g: (t, d) float64, the sum of the train queries of each, never zero.
    """

    rows: Tensor
    vectors: Tensor
    g: Tensor

    def keep(self, which: Tensor) -> Pull:
        """The documents that are marked, (t,) bool."""
        return Pull(self.rows[which], self.vectors[which], self.g[which])


def pull(problem: Problem, *, unit_queries: bool) -> Pull:
    """Sums the train queries of each document, in float64 and in one order, so that equal sums are equal bits.

    Args:
        problem: the train queries and the documents.
        unit_queries: whether each query counts alike, or by its length.

    Raises:
        ProblemError: when no train query, or no dev query, has a relevant document, or dev is a single query.
    """
    check_answers(problem)
    relevant = problem.train.relevant
    rows, place = relevant.columns.unique(return_inverse=True)
    g = torch.zeros(len(rows), problem.corpus.d, dtype=torch.float64)
    queries = problem.train.vectors.double()
    if unit_queries:
        queries = torch.nn.functional.normalize(queries, dim=1)
    g.index_add_(0, place, queries[relevant.rows])
    return Pull(rows, problem.corpus.rows(rows).double(), g).keep(g.norm(dim=1) > 0)


def profile(problem: Problem, turn: Turn, metric: str, limit: float) -> Profile:
    """The dev metric over all angles."""
    return dev_profile(turn, problem.corpus, problem.dev, Metric.parse(metric), limit)


def report(problem: Problem, gamma: float, plateau: Plateau, profile: Profile, touched: int) -> None:
    """Tells the meter what was chosen, and the profile at evenly spaced angles from 0 to its limit."""
    problem.meter.log(gamma=gamma, dev=plateau.value, plateau_width=plateau.width)
    for value in profile.at(torch.linspace(0.0, float(profile.edges[-1]), LOOKS, dtype=torch.float64)).tolist():
        problem.meter.log(profile=value)
    problem.meter.count("touched_documents", touched)


def moved(problem: Problem, rows: Tensor, vectors: Tensor, similarity: Similarity) -> VectorTuned:
    """The search over documents in their new places; those that are where they were are left out."""
    vectors = vectors.float()
    left = (vectors != problem.corpus.rows(rows)).any(1)
    return VectorTuned(problem.corpus, Moved(rows[left], vectors[left]), similarity=similarity, device=problem.device)
