"""A small problem in place of one whose documents are too many to be searched or encoded again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from methods._contract import Encoder, Problem
from methods._corpus import Corpus
from methods._metrics import Metric
from methods._queries import Judged
from methods._search import top_k
from methods._tuned import VectorTuned

OTHERS = 15  # documents of each dev query, besides all answers, as Zeighami et al. (2024) take them


def pooled(problem: Problem, others: int) -> Problem:
    """The problem over all train and dev answers, and of each dev query its best `others` besides.

    What comes near only by learning and is no answer is missed, so a dev metric over the pool is a little too high.
    """
    corpus, dev = problem.corpus, problem.dev
    best = top_k(dev.vectors, corpus, others, exclude=dev.no_negatives(), device=problem.device).rows
    rows = torch.cat([problem.train.relevant.columns, dev.relevant.columns, best[best >= 0]]).unique()
    items = [corpus.items[row] for row in rows.tolist()] if len(corpus.items) else ()
    small = Corpus(items, (corpus.rows(rows).numpy(),), corpus.priority[rows.numpy()].argsort().argsort())
    return replace(problem, corpus=small, train=_within(problem.train, rows), dev=_within(dev, rows))


def _within(judged: Judged, rows: Tensor) -> Judged:
    """The queries with their documents by their places among `rows`, which hold all answers."""
    relevant = replace(judged.relevant, columns=torch.searchsorted(rows, judged.relevant.columns))
    exclude = None if judged.exclude is None else judged.exclude.among(rows)
    return replace(judged, exclude=exclude, relevant=relevant)


def has_fallen(values: Sequence[float], max_drop: float) -> bool:
    """Whether the last of some dev values, from before training on, lies so far below the best that training stops."""
    return values[-1] < max(values) - max_drop


@dataclass(frozen=True)
class DevPool:
    """The dev metric of an encoder in training, over a pool of documents.

    Attributes:
        pool: the documents and the dev queries.
        metric: what is measured.
    """

    pool: Problem
    metric: Metric

    @classmethod
    def of(cls, problem: Problem, metric: Metric) -> DevPool:
        """Finds the documents by the vectors that the problem has."""
        return cls(pooled(problem, OTHERS), metric)

    def untrained(self) -> float:
        """The metric of the vectors that the problem has."""
        return self._of(VectorTuned(self.pool.corpus, device=self.pool.device))

    def value(self, encoder: Encoder) -> float:
        """The metric of an encoder."""
        return self._of(VectorTuned(self.pool.corpus, encoder=encoder, device=self.pool.device).reencode())

    def _of(self, tuned: VectorTuned) -> float:
        return self.metric.mean(tuned.search(self.pool.dev, self.metric.k), self.pool.dev.relevant)
