"""InfoNCE over the relevant pairs of a problem (van den Oord et al. 2018, arXiv 1807.03748), negatives in the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from methods._contract import Problem
from methods._csr import Csr
from methods._maps import Maps


@dataclass(frozen=True)
class Pairs:
    """The train queries with their relevant documents, gathered once.

    Attributes:
        queries: (m, d) float32, on the device.
        documents: (t, d) float32, on the device: those with a train query.
        query: (pairs,) int64 on the CPU.
        document: (pairs,) int64 on the CPU.
        barred: m rows over the t documents: what is no negative of a query; None if all others in the batch are.
    """

    queries: Tensor
    documents: Tensor
    query: Tensor
    document: Tensor
    barred: Csr | None

    @classmethod
    def of(cls, problem: Problem, *, bar: bool) -> Pairs:
        """Gathers the pairs; `bar` spares a query what is relevant to it and what it must not retrieve."""
        train = problem.train
        rows, place = train.relevant.columns.unique(return_inverse=True)
        return cls(
            train.vectors.to(problem.device),
            problem.corpus.rows(rows).to(problem.device),
            train.relevant.rows,
            place,
            train.no_negatives().among(rows) if bar else None,
        )

    def loss(self, maps: Maps, batch: Tensor, scale: float) -> Tensor:
        """The mean over the batch of −log softmax of the pair's own document among the batch's documents.

        A document counts once where negatives are barred, else as often as it is in the batch.
        """
        query, own = self.query[batch], torch.arange(len(batch))
        shown, column = self.document[batch], own
        if self.barred is not None:
            shown, column = shown.unique(return_inverse=True)
        device = self.queries.device
        queries = normalize(maps.query(self.queries[query.to(device)]), dim=1)
        cosines = queries @ normalize(maps.document(self.documents[shown.to(device)]), dim=1).T
        if self.barred is not None:
            barred = self.barred.take(query).among(shown)
            hidden = torch.zeros(cosines.shape, dtype=torch.bool)
            hidden[barred.rows, barred.columns] = True
            hidden[own, column] = False
            cosines = cosines.masked_fill(hidden.to(device), -torch.inf)
        return cross_entropy(scale * cosines, column.to(device))
