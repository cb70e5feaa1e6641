"""How much of a test query the train queries have told already: what explains who wins, and never chooses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.names import BUCKETS
from methods import Corpus, Csr, top_k

_EDGES = (0.6, 0.8, 0.9)


@dataclass(frozen=True)
class Overlap:
    """What each of m test queries shares with the train queries.

    Attributes:
        seen_fraction: (m,) float64, the part of its relevant documents that have a train query.
        nearest: (m,) float64, the cosine of the query to the closest train query of its relevant documents; NaN
            where they have none, or without vectors to compare.
    """

    seen_fraction: NDArray[np.float64]
    nearest: NDArray[np.float64]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(m,): whether a relevant document has a train query."""
        return self.seen_fraction > 0

    @property
    def buckets(self) -> list[str | None]:
        """One of `BUCKETS` for each query; None for a seen one that could not be compared."""
        inner = [
            None if np.isnan(near) else BUCKETS[1 + int(np.searchsorted(_EDGES, near, "right"))]
            for near in self.nearest
        ]
        return [bucket if seen else "unseen" for bucket, seen in zip(inner, self.seen, strict=True)]


def overlap(
    train: Csr, test: Csr, n: int, train_vectors: Tensor | None = None, test_vectors: Tensor | None = None
) -> Overlap:
    """Compares test queries with train queries through the documents they share.

    Args:
        train: rows of relevant documents, one a train query.
        test: m such rows.
        n: the number of documents.
        train_vectors: (rows, d) of the train queries under one fixed encoder, or None.
        test_vectors: (m, d) of the test queries under the same.
    """
    has_train = torch.zeros(n, dtype=torch.float64).index_fill_(0, train.columns, 1.0)
    seen_fraction = test.row_sums(has_train[test.columns]) / test.lengths.clamp(min=1)
    nearest = torch.full((len(test),), torch.nan, dtype=torch.float64)
    if train_vectors is not None and test_vectors is not None:
        of_document = Csr.from_pairs(train.columns, train.rows, n)
        train_unit, test_unit = (
            torch.nn.functional.normalize(v.double(), dim=1) for v in (train_vectors, test_vectors)
        )
        # A row a judgement of a test query: the train queries of its document.
        siblings = of_document.take(test.columns)
        query = test.rows[siblings.rows]
        cosine = (test_unit[query] * train_unit[siblings.columns]).sum(1)
        nearest = nearest.nan_to_num(-torch.inf).scatter_reduce(0, query, cosine, "amax")
        nearest[nearest.isneginf()] = torch.nan
    return Overlap(seen_fraction.numpy(), nearest.numpy())


def wording(train_vectors: Tensor, test_vectors: Tensor) -> NDArray[np.float64]:
    """The cosine of each test query to the closest of all train queries, which no judgement has a say in.

    Args:
        train_vectors: (rows, d), one row or more, of the train queries under one fixed encoder.
        test_vectors: (m, d) of the test queries under the same.

    Returns:
        (m,) float64.
    """
    train, test = (torch.nn.functional.normalize(vectors, dim=1) for vectors in (train_vectors, test_vectors))
    bank = Corpus((), (train.numpy(),), np.arange(len(train)))
    return top_k(test, bank, 1).scores[:, 0].double().numpy()


def clusters(relevant: Csr, n: int) -> Tensor:
    """(m,) int64: of each query's relevant documents the one that most queries share, which names its cluster."""
    shared_by = torch.zeros(n, dtype=torch.int64).index_add_(0, relevant.columns, torch.ones_like(relevant.columns))
    rank = torch.empty(n, dtype=torch.int64)
    by_count = shared_by.argsort(stable=True, descending=True)
    rank[by_count] = torch.arange(n)
    best = torch.full((len(relevant),), n).scatter_reduce(0, relevant.rows, rank[relevant.columns], "amin")
    return by_count[best]
