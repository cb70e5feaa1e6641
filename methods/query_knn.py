"""A control: the answers of the nearest train queries, and nothing of the documents themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from methods._contract import Method, OpenEncoder, Part, Problem, check_train
from methods._corpus import Corpus
from methods._csr import Csr
from methods._queries import CPU, Queries, check_queries
from methods._search import Ranking, best_first, top_k
from methods._tuned import Tuned, read_about

QUERIES = 64  # at a time
BEHIND = 3.0  # what puts any cosine below every other
TENSORS = ("vectors", "relevant.offsets", "relevant.columns", "relevant.values")


@dataclass(frozen=True)
class QueryKnn(Method):
    """A control: a document's score is the cosine of the query to the nearest train query that it answers.

    Documents without a train query come last, in the order in which the encoder has them. What this gains is gained
    by remembering queries; a method that learns must do better.
    """

    control: ClassVar[bool] = True

    def replaces(self) -> frozenset[Part]:
        """The search itself."""
        return frozenset({"search"})

    def fit(self, problem: Problem) -> QueryKnnTuned:
        """Remembers the train queries.

        Raises:
            ProblemError: when no train query has a relevant document.
        """
        check_train(problem)
        return QueryKnnTuned(problem.corpus, problem.train.vectors, problem.train.relevant, problem.device)

    def load(
        self,
        folder: Path,
        corpus: Corpus,
        open_encoder: OpenEncoder | None = None,  # noqa: ARG002 — it has none
    ) -> QueryKnnTuned:
        """Opens what was saved, over the corpus that it was fitted on."""
        return QueryKnnTuned.load(folder, corpus)


@dataclass(frozen=True)
class QueryKnnTuned(Tuned):
    """A search among remembered queries.

    Attributes:
        corpus: n documents.
        vectors: (m, d) float32, the train queries.
        relevant: m rows, their answers.
        device: where the pass over the other documents runs.
    """

    corpus: Corpus
    vectors: Tensor
    relevant: Csr
    device: torch.device = CPU

    def search(self, queries: Queries, k: int) -> Ranking:
        """The k best documents of each query, their scores between -1 and 1 if they have a train query, else lower.

        Raises:
            ProblemError: when a query vector is not finite or has another dimension than the documents.
        """
        check_queries("queries", queries, self.corpus)
        asked_for, place = self.relevant.columns.unique(return_inverse=True)
        unit, train = (normalize(vectors.double(), dim=1) for vectors in (queries.vectors, self.vectors))
        rest = top_k(unit.float(), self.corpus, k, exclude=queries.exclude, skip=asked_for, device=self.device)
        found = []
        for some in torch.arange(len(queries)).split(QUERIES):
            cosine = (unit[some] @ train.T)[:, self.relevant.rows]
            best = torch.full((len(some), len(asked_for)), -torch.inf, dtype=torch.float64)
            best.scatter_reduce_(1, place.expand(len(some), -1), cosine, "amax")
            if queries.exclude is not None:
                barred = queries.exclude.take(some).among(asked_for)
                best[barred.rows, barred.columns] = -torch.inf
            rows = torch.cat([asked_for.expand(len(some), -1), rest.rows[some]], dim=1)
            scores = torch.cat([best.float(), rest.scores[some] - BEHIND], dim=1)
            order = best_first(scores, torch.from_numpy(self.corpus.priority)[rows.clamp(min=0)])[:, :k]
            scores = scores.gather(1, order)
            found.append(Ranking(torch.where(scores.isneginf(), -1, rows.gather(1, order)), scores))
        return Ranking(torch.cat([part.rows for part in found]), torch.cat([part.scores for part in found]))

    def save(self, folder: Path) -> None:
        """Writes `tuned.json` and `tuned.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        relevant = self.relevant
        tensors = (self.vectors, relevant.offsets, relevant.columns, relevant.values)
        save_file(dict(zip(TENSORS, tensors, strict=True)), folder / "tuned.safetensors")
        (folder / "tuned.json").write_text(json.dumps({"n": self.corpus.n, "d": self.corpus.d}, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> QueryKnnTuned:
        """Opens what `save` wrote.

        Raises:
            ProblemError: when the corpus has another shape.
        """
        read_about(folder, corpus)
        tensors = load_file(folder / "tuned.safetensors")
        return cls(corpus, tensors["vectors"], Csr(*(tensors[name] for name in TENSORS[1:])))
