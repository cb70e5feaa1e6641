"""Reciprocal rank fusion of the search by words with the search by vectors (Cormack, Clarke and Büttcher 2009)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from methods._contract import OpenEncoder, Problem
from methods._corpus import Corpus
from methods._queries import CPU, Queries
from methods._search import Ranking, best_of_all, top_k
from methods.bm25 import Bm25, Bm25Tuned

CONSTANT = 60  # of the authors
DEPTH = 100  # documents that each list holds; the authors had 1,000, which takes four times as long to search for


@dataclass(frozen=True)
class Rrf(Bm25):
    """Fuses BM25 with the vectors, those of the encoder or, as the last link of a chain, those that it was left.

    A document's score is the sum of 1 / (60 + rank) over the two lists, which hold 100 documents each; that of BM25
    ends with the last document that shares a word with the query. The hyperparameters are those of `bm25`.
    """

    def fit(self, problem: Problem) -> RrfTuned:
        """Indexes the documents, as `bm25` does."""
        return RrfTuned(problem.corpus, super().fit(problem).index, problem.device)

    def load(self, folder: Path, corpus: Corpus, open_encoder: OpenEncoder | None = None) -> RrfTuned:
        """Opens what was saved, over the corpus that it was fitted on."""
        return RrfTuned(corpus, super().load(folder, corpus, open_encoder).index)


@dataclass(frozen=True)
class RrfTuned(Bm25Tuned):
    """A search by words and by vectors.

    Attributes:
        device: where the search by vectors runs.
    """

    device: torch.device = CPU

    def search(self, queries: Queries, k: int) -> Ranking:
        """The k best documents of each query; those that are in neither list come last, with a score of 0.

        Raises:
            Unsuited: when the queries are not texts.
        """
        words = super().search(queries, DEPTH)
        vectors = top_k(queries.vectors, self.corpus, DEPTH, exclude=queries.exclude, device=self.device)
        scores = _fused(self.corpus.n, torch.where(words.scores > 0, words.rows, -1), vectors.rows)
        return best_of_all(scores, len(queries), self.corpus, k, exclude=queries.exclude)


def _fused(n: int, *lists: Tensor) -> Iterator[Tensor]:
    """For each query (n,) float32, the scores of all documents; each list is (m, DEPTH), -1 where it has ended."""
    worth = 1 / (CONSTANT + torch.arange(1, DEPTH + 1, dtype=torch.float64))
    for own in zip(*lists, strict=True):
        scores = torch.zeros(n, dtype=torch.float64)
        for rows in own:
            scores[rows[rows >= 0]] += worth[rows >= 0]
        yield scores.float()
