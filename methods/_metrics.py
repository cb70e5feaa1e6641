"""The metrics that methods choose by: sums over the answers of a query of a weight times a discount of the rank."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from methods._csr import Csr
from methods._search import Ranking

ABSENT = 2**31  # the rank of an answer that was not retrieved


@dataclass(frozen=True)
class Metric:
    """NDCG with linear gain (Järvelin and Kekäläinen 2002), recall, or hit at a cut-off.

    Because every one is additive over the answers of a query, a method can follow each answer's rank on its own.

    Attributes:
        kind: "ndcg", "recall" or "hit".
        k: the cut-off.
    """

    kind: str
    k: int

    @classmethod
    def parse(cls, name: str) -> Metric:
        """Reads "ndcg@10", "recall@100" or "hit@1".

        Raises:
            ValueError: for anything else.

        >>> Metric.parse("recall@100")
        Metric(kind='recall', k=100)
        """
        match = re.fullmatch(r"(?:(ndcg|recall)@([1-9]\d*)|(hit)@(1))", name)
        if match is None:
            raise ValueError(f"metric {name!r}: write ndcg@K, recall@K or hit@1")
        kind, k = [group for group in match.groups() if group]
        return cls(kind, int(k))

    def weights(self, relevant: Csr) -> Tensor:
        """(pairs,) float64: what each answer of a query is worth at rank 1."""
        if self.kind == "hit":
            return torch.ones(len(relevant.columns), dtype=torch.float64)
        if self.kind == "recall":
            return (1.0 / relevant.lengths.double())[relevant.rows]
        return relevant.values.double() / self._ideal_dcg(relevant)[relevant.rows]

    def discount(self, ranks: Tensor) -> Tensor:
        """Float64 of the same shape: what is left of an answer's worth at these ranks, counted from 1."""
        value = (
            1.0 / torch.log2(ranks.double() + 1.0)
            if self.kind == "ndcg"
            else torch.ones_like(ranks, dtype=torch.float64)
        )
        return torch.where(ranks <= self.k, value, 0.0)

    def mean(self, ranking: Ranking, relevant: Csr) -> float:
        """The mean over the queries that have an answer.

        Raises:
            ValueError: when none has.
        """
        answered = int((relevant.lengths > 0).sum())
        if not answered:
            raise ValueError("no query has a relevant document")
        found = self.weights(relevant) * self.discount(answer_ranks(ranking, relevant))
        return float(found.sum()) / answered

    def _ideal_dcg(self, relevant: Csr) -> Tensor:
        by_grade = relevant.values.argsort(descending=True, stable=True)
        order = by_grade[relevant.rows[by_grade].argsort(stable=True)]
        place = torch.arange(len(order)) - relevant.offsets[:-1][relevant.rows] + 1
        return relevant.row_sums(relevant.values[order].double() * self.discount(place))


def answer_ranks(ranking: Ranking, relevant: Csr) -> Tensor:
    """(pairs,) int64: the rank of each answer, from 1; ABSENT when it was not retrieved."""
    hits = ranking.rows[relevant.rows] == relevant.columns[:, None]
    return torch.where(hits.any(1), hits.int().argmax(1) + 1, ABSENT)
