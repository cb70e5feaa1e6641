"""The smallest method of each kind that the contract carries."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from problems import WordEncoder
from torch import nn

from methods import Corpus, Method, Moved, Problem, Queries, Ranking, Tuned, VectorTuned


@dataclass(frozen=True)
class FlipQueries(Method):
    """A query map."""

    name: ClassVar[str] = "flip-queries"
    scale: float = -1.0

    def fit(self, problem: Problem) -> VectorTuned:
        layer = self.query_map(problem.corpus.d)
        nn.init.eye_(layer.weight)
        with torch.no_grad():
            layer.weight.mul_(self.scale)
        return VectorTuned(problem.corpus, query_map=layer)

    def query_map(self, d: int) -> nn.Module:
        return nn.Linear(d, d, bias=False)


@dataclass(frozen=True)
class SwapDocuments(Method):
    """Moved rows: the first and the last document change places."""

    name: ClassVar[str] = "swap-documents"

    def fit(self, problem: Problem) -> VectorTuned:
        ends = torch.tensor([0, problem.corpus.n - 1])
        return VectorTuned(problem.corpus, Moved(ends, problem.corpus.rows(ends.flip(0))))


@dataclass(frozen=True)
class NewEncoder(Method):
    """A replaced encoder, whose documents the harness encodes."""

    name: ClassVar[str] = "new-encoder"
    needs: ClassVar[frozenset[str]] = frozenset({"items", "encoder"})

    def fit(self, problem: Problem) -> VectorTuned:
        return VectorTuned(problem.corpus, encoder=WordEncoder(turn=1))


@dataclass(frozen=True)
class SharedWords(Method):
    """A lexical method: no vectors, its own search."""

    name: ClassVar[str] = "shared-words"
    needs: ClassVar[frozenset[str]] = frozenset({"items"})

    def fit(self, problem: Problem) -> SharedWordsTuned:
        return SharedWordsTuned([sorted(set(text.split())) for text in problem.corpus.items])

    def load(self, folder: Path, corpus: Corpus, open_encoder=None) -> SharedWordsTuned:
        return SharedWordsTuned(json.loads((folder / "words.json").read_text()))


@dataclass(frozen=True)
class SharedWordsTuned(Tuned):
    words: list[list[str]]

    def search(self, queries: Queries, k: int) -> Ranking:
        counts = [[float(len(set(item.split()) & set(words))) for words in self.words] for item in queries.items]
        scores = torch.tensor(counts)
        if queries.exclude is not None:
            scores[queries.exclude.rows, queries.exclude.columns] = -torch.inf
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
        found = scores.gather(1, order)
        return Ranking(torch.where(found.isneginf(), -1, order), found)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "words.json").write_text(json.dumps(self.words))


TOYS = [FlipQueries(), SwapDocuments(), NewEncoder(), SharedWords()]
