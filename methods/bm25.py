"""BM25: search by the words of a text, without an encoder (Robertson and Zaragoza 2009)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from methods._contract import Method, OpenEncoder, Part, Problem, check_train
from methods._corpus import Corpus, Item
from methods._errors import ProblemError, Unsuited
from methods._queries import Judged, Queries, check_queries
from methods._search import Ranking, best_of_all
from methods._tuned import Tuned, read_about

if TYPE_CHECKING:
    from bm25s import BM25


@dataclass(frozen=True)
class Bm25(Method):
    """Scores documents by the words that they share with the query, as Lucene does; no vector is looked at.

    score = Σ idf(w) · tf / (tf + k1·(1 − b + b·length/mean length)) over the words w of the query, one that is repeated
    counting as often; tf is how often the document has w, idf(w) = ln(1 + (n − df + ½) / (df + ½)), and df the number
    of documents that have w (Kamphuis et al. 2020, "Which BM25 do you mean?", Lucene with exact lengths). Words are
    two or more letters, digits or underscores in a row, in lower case and not stemmed, without the 33 English stop
    words of the package bm25s (Lù 2024, arXiv 2407.03618), which computes it.

    Attributes:
        k1: how slowly a repeated word saturates, from 0 on.
        b: how much the length of a document counts, from 0 to 1.
        expand: whether each document's train queries are appended to its text.
    """

    needs: ClassVar[frozenset[Literal["items", "encoder"]]] = frozenset({"items"})
    k1: float = 1.5
    b: float = 0.75
    expand: bool = False

    def replaces(self) -> frozenset[Part]:
        """The search itself."""
        return frozenset({"search"})

    def fit(self, problem: Problem) -> Bm25Tuned:
        """Indexes the documents.

        Raises:
            Unsuited: when there are pictures among the documents or the queries to append.
            ProblemError: when no document has a word, or there is no query to append; for hyperparameters out of range.
        """
        import bm25s

        if self.k1 < 0 or not 0 <= self.b <= 1:
            raise ProblemError(f"{self.name}: k1 is {self.k1} and b {self.b}; pass k1 from 0 on and b from 0 to 1")
        texts = _checked_texts(problem.corpus.items, problem.corpus.n)
        if self.expand:
            check_train(problem)
            texts = _expanded(texts, problem.train)
        words = bm25s.tokenize(texts, show_progress=False)
        if not words.vocab:
            raise ProblemError(f"{self.name}: no document has a word; are they all stop words or single letters?")
        index = bm25s.BM25(self.k1, self.b, method="lucene")
        index.index(words, create_empty_token=False, show_progress=False)
        return Bm25Tuned(problem.corpus, index)

    def load(
        self,
        folder: Path,
        corpus: Corpus,
        open_encoder: OpenEncoder | None = None,  # noqa: ARG002 — it has none
    ) -> Bm25Tuned:
        """Opens what was saved, over the corpus that it was fitted on."""
        import bm25s

        read_about(folder, corpus)
        return Bm25Tuned(corpus, bm25s.BM25.load(folder / "index"))


@dataclass(frozen=True)
class Bm25Tuned(Tuned):
    """A search by words.

    Attributes:
        corpus: n documents.
        index: of their words.
    """

    corpus: Corpus
    index: BM25

    def search(self, queries: Queries, k: int) -> Ranking:
        """The k best documents of each query; those that share no word with it come last, with a score of 0.

        Raises:
            Unsuited: when the queries are not texts.
        """
        check_queries("queries", queries, self.corpus)
        return best_of_all(self._scores(queries), len(queries), self.corpus, k, exclude=queries.exclude)

    def save(self, folder: Path) -> None:
        """Writes `tuned.json` and `index/`."""
        self.index.save(folder / "index", show_progress=False)
        (folder / "tuned.json").write_text(json.dumps({"n": self.corpus.n, "d": self.corpus.d}, indent=1) + "\n")

    def _scores(self, queries: Queries) -> Iterator[Tensor]:
        """For each query (n,) float32, the scores of all documents."""
        import bm25s

        for words in bm25s.tokenize(_checked_texts(queries.items, len(queries)), return_ids=False, show_progress=False):
            yield torch.from_numpy(self.index.get_scores_from_ids(self.index.get_tokens_ids(words)))


def _expanded(texts: Sequence[str], train: Judged) -> list[str]:
    """The documents, each with the train queries that it answers at its end."""
    queries, relevant = _checked_texts(train.items, len(train)), train.relevant
    parts = [[text] for text in texts]
    for query, document in zip(relevant.rows.tolist(), relevant.columns.tolist(), strict=True):
        parts[document].append(queries[query])
    return [" ".join(part) for part in parts]


def _checked_texts(items: Sequence[Item], n: int) -> list[str]:
    """The n items, all of which must be texts.

    Raises:
        Unsuited: when one is a picture, or only vectors are known.
    """
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) < n:
        raise Unsuited("bm25 reads texts only; it is not for pictures, nor for vectors alone")
    return texts
