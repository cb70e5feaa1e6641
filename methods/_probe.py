"""How far cached document vectors are from those of an encoder in training, and the softmax over them with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from methods._contract import Encoder, Problem
from methods._corpus import Corpus
from methods._negatives import unit

QUERIES, DOCUMENTS = 64, 256


@dataclass(frozen=True)
class Probe:
    """Some train queries and some documents, which are encoded to measure by and for nothing else.

    Attributes:
        problem: whose they are.
        queries: (≤ 64,) int64 rows.
        documents: (≤ 256,) int64 rows.
    """

    problem: Problem
    queries: Tensor
    documents: Tensor

    @classmethod
    def of(cls, problem: Problem) -> Probe:
        """Draws them by the seed."""
        random = torch.Generator().manual_seed(problem.seed)
        queries = torch.randperm(len(problem.train), generator=random)[:QUERIES]
        return cls(problem, queries, torch.randperm(problem.corpus.n, generator=random)[:DOCUMENTS])

    def measure(
        self,
        encoder: Encoder,
        cache: Corpus,
        corrector: Callable[[Tensor], Tensor] | None,
        encoded: Tensor,
        scale: float,
    ) -> dict[str, float]:
        """The distance of cached vectors from those that the encoder gives now.

        Args:
            encoder: in training.
            cache: all documents as they were encoded last.
            corrector: what brings cached vectors up to date, or None.
            encoded: (n,) bool, the documents that were encoded in a step.
            scale: factor on the cosines in the softmax.

        Returns:
            "drift": the mean of ‖cached − current‖² over those documents that were never encoded in a step, NaN when
            there is none left; "tv": the mean over the queries of the total variation between the softmax over
            the documents as they are cached and as they are. With a corrector both are of corrected vectors, and
            "drift_stale" and "tv_stale" of those that it corrects.
        """
        train, items = self.problem.train.items, self.problem.corpus.items
        queries = unit(encoder.encode([train[row] for row in self.queries.tolist()], "query"))
        current = unit(encoder.encode([items[row] for row in self.documents.tolist()], "document"))
        unseen = ~encoded[self.documents]

        def distances(cached: Tensor, suffix: str) -> dict[str, float]:
            drift = (cached - current).square().sum(1)[unseen].mean()
            exact, found = (torch.softmax(scale * queries @ vectors.T, dim=1) for vectors in (current, cached))
            return {f"drift{suffix}": drift.item(), f"tv{suffix}": (exact - found).abs().sum(1).mean().item() / 2}

        cached = cache.rows(self.documents)
        if corrector is None:
            return distances(unit(cached), "")
        with torch.no_grad():
            corrected = corrector(cached.to(self.problem.device)).cpu()
        return distances(corrected, "") | distances(unit(cached), "_stale")
