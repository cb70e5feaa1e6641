"""Nearest neighbour normalisation (Chowdhury et al. 2024, arXiv 2410.24114): what is close to many queries sinks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from methods._contract import Method, Part, Problem, check_dev
from methods._corpus import Corpus, Moved
from methods._errors import ProblemError
from methods._maps import Lengthened
from methods._metrics import Metric
from methods._queries import CPU
from methods._search import BLOCK, top_k
from methods._tuned import VectorTuned

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
NEIGHBOURS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Nnn(Method):
    """Lowers the score of every document by α times the mean of its k largest scores with train queries.

    Of the train queries only the wording is used, and not what answers them. All queries count at unit length. (α, k)
    is the first of the best by the dev metric among α = 0, ¼, …, 1½, ascending, and for each k = 1, 2, 4, …, 128 as far
    as there are train queries. The authors' α begin at ¼; at 0 nothing changes.

    Attributes:
        metric: of the dev queries to choose by.
        alpha: α, from 0 on, instead of choosing it.
        neighbours: k, from 1 on, instead of choosing it; where there are fewer train queries, it is all of them.
    """

    metric: str = "ndcg@10"
    alpha: float | None = None
    neighbours: int | None = None

    def fit(self, problem: Problem) -> VectorTuned:
        """Gives every document one coordinate more, by which its score is lowered.

        Raises:
            ProblemError: when there is no train query, or none to choose by has a relevant document; for
                hyperparameters out of range.
        """
        self._check(problem)
        sizes = [size for size in NEIGHBOURS if size <= len(problem.train)]
        means = nearest_means(problem, sizes if self.neighbours is None else [self.neighbours])
        alpha, neighbours = self._choose(problem, means)
        problem.meter.log(alpha=alpha, neighbours=neighbours)
        found = {"alpha": alpha, "neighbours": neighbours}
        chosen = {name: value for name, value in found.items() if getattr(self, name) is None}
        return replace(_lowered(problem, alpha * means[neighbours]), chosen=chosen)

    def replaces(self) -> frozenset[Part]:
        """All documents and queries, by one coordinate more."""
        return frozenset({"documents", "queries"})

    def query_map(self, d: int) -> nn.Module:  # noqa: ARG002 — any
        """The coordinate that the offset is multiplied by."""
        return Lengthened()

    def _check(self, problem: Problem) -> None:
        if not len(problem.train):
            raise ProblemError("train: nnn needs queries, though not their answers; add some")
        if self.alpha is not None and self.alpha < 0:
            raise ProblemError(f"nnn: alpha is {self.alpha}; pass one from 0 on")
        if self.neighbours is not None and self.neighbours < 1:
            raise ProblemError(f"nnn: neighbours is {self.neighbours}; pass one from 1 on")

    def _choose(self, problem: Problem, means: Mapping[int, Tensor]) -> tuple[float, int]:
        """(α, k), the first of the best by the dev queries."""
        alphas = ALPHAS if self.alpha is None else (self.alpha,)
        pairs = [(alpha, size) for alpha in alphas for size in (means if alpha else [min(means)])]
        if len(pairs) == 1:
            return pairs[0]
        check_dev(problem)
        metric, values = Metric.parse(self.metric), []
        for alpha, size in pairs:
            found = _lowered(problem, alpha * means[size]).search(problem.dev, metric.k)
            values.append(metric.mean(found, problem.dev.relevant))
            problem.meter.log(dev=values[-1])
        return pairs[values.index(max(values))]


def nearest_means(problem: Problem, sizes: Sequence[int]) -> dict[int, Tensor]:
    """For each size (n,) float64: the mean of each document's so many largest scores with train queries.

    Args:
        problem: with n documents and at least one train query.
        sizes: ascending, from 1 on; where there are fewer train queries, the mean is over all.
    """
    queries = normalize(problem.train.vectors, dim=1).numpy()
    bank = Corpus((), (queries,), np.arange(len(queries)))
    last = torch.tensor(sizes).clamp(max=bank.n) - 1
    means = []
    for _, documents in problem.corpus.blocks(CPU, BLOCK):
        nearest = top_k(documents, bank, int(last[-1]) + 1, device=problem.device).scores.double()
        means.append(nearest.cumsum(1)[:, last] / (last + 1))
    return dict(zip(sizes, torch.cat(means).unbind(1), strict=True))


def _lowered(problem: Problem, offsets: Tensor) -> VectorTuned:
    """The search in which the score of each document with a query of unit length is lower by its offset, (n,)."""
    rows, lengthened = torch.arange(problem.corpus.n), Lengthened()
    lengthened.on.fill_(True)
    places = torch.cat([problem.corpus.rows(rows), -offsets[:, None].float()], dim=1)
    return VectorTuned(problem.corpus, Moved(rows, places), lengthened, similarity="dot", device=problem.device)
