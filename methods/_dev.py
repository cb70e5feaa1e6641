"""The dev metric of an encoder in training: among some of the documents, because all are too many to encode often."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from methods._contract import Csr, Encoder, Judged, Problem
from methods._corpus import Corpus
from methods._metrics import Metric
from methods._search import top_k

OTHERS = 15  # documents of each dev query, besides all answers


@dataclass(frozen=True)
class DevPool:
    """All train and dev answers, and each dev query's best other documents, as Zeighami et al. (2024) take them.

    Attributes:
        problem: whose documents and dev queries they are.
        rows: (p,) int64, ascending: the documents.
        dev: the dev queries, judged on places in `rows`.
        metric: what is measured.
    """

    problem: Problem
    rows: Tensor
    dev: Judged
    metric: Metric

    @classmethod
    def of(cls, problem: Problem, metric: Metric) -> DevPool:
        """Finds the documents by the vectors that the problem has."""
        dev = problem.dev
        others = top_k(dev.vectors, problem.corpus, OTHERS, exclude=dev.relevant, device=problem.device).rows
        rows = torch.cat([problem.train.relevant.columns, dev.relevant.columns, others[others >= 0]]).unique()
        relevant = replace(dev.relevant, columns=torch.searchsorted(rows, dev.relevant.columns))
        exclude = None if dev.exclude is None else dev.exclude.among(rows)
        return cls(problem, rows, Judged(dev.items, dev.vectors, exclude, relevant=relevant), metric)

    def untrained(self) -> float:
        """The metric of the vectors that the problem has."""
        return self._value(self.dev.vectors, self.problem.corpus.rows(self.rows))

    def value(self, encoder: Encoder) -> float:
        """The metric of an encoder."""
        documents = encoder.encode([self.problem.corpus.items[row] for row in self.rows.tolist()], "document")
        return self._value(encoder.encode(self.dev.items, "query"), normalize(documents, dim=1))

    def _value(self, queries: Tensor, documents: Tensor) -> float:
        order = np.argsort(np.argsort(self.problem.corpus.priority[self.rows]))
        corpus = Corpus((), (documents.numpy(),), order)
        found = top_k(queries, corpus, self.metric.k, exclude=self.dev.exclude, device=self.problem.device)
        return self.metric.mean(found, self.dev.relevant)


def hard_negatives(problem: Problem, count: int, among: int) -> Tensor:
    """(pairs, count) int64: documents for each train pair, drawn by the seed from the `among` best of its query.

    None of them answers the query, and none is excluded from its answers.
    """
    train = problem.train
    best = top_k(train.vectors, problem.corpus, among, exclude=no_negatives(train), device=problem.device).rows
    random = torch.Generator().manual_seed(problem.seed)
    drawn = torch.rand(len(train.relevant.columns), best.shape[1], generator=random)
    of_pair = best[train.relevant.rows]
    return of_pair.gather(1, drawn.masked_fill(of_pair < 0, -1).argsort(dim=1, descending=True)[:, :count])


def no_negatives(queries: Judged) -> Csr:
    """What cannot be a negative of each query: the documents that answer it, and those that it must not retrieve."""
    if queries.exclude is None:
        return queries.relevant
    both = (queries.relevant, queries.exclude)
    rows, columns = torch.cat([part.rows for part in both]), torch.cat([part.columns for part in both])
    return Csr.from_pairs(rows, columns, len(queries))
