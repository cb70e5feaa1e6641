"""What a fitted method leaves behind: something that answers queries, and that can be shipped."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from methods._contract import Encoder, Meter, OpenEncoder, Problem, Similarity
from methods._corpus import Corpus, Moved, Vectors
from methods._errors import ProblemError
from methods._queries import CPU, Queries, Queryset, check_queries
from methods._search import Ranking, top_k

AT_ONCE = 8_192  # items that are encoded at once, and read for it


class Tuned(ABC):
    """A search that a method has made.

    Attributes:
        chosen: the hyperparameters that the method chose by itself, or that were chosen by trial; of a chain, under
            "links", those of each link. Plain JSON.
    """

    chosen: Mapping[str, Any] = MappingProxyType({})

    def with_chosen(self, chosen: Mapping[str, Any]) -> Self:
        """The same, with more that was chosen."""
        other = copy(self)
        object.__setattr__(other, "chosen", {**self.chosen, **chosen})  # which may be a frozen dataclass
        return other

    @abstractmethod
    def search(self, queries: Queries, k: int) -> Ranking:
        """The k best documents of each query, as the encoder of the problem gave it, exclusions left out."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes what was learnt, without pickle, for `Method.load` to open over the same corpus."""


@dataclass(frozen=True)
class VectorTuned(Tuned):
    """A search by vectors. A query goes through `encoder` and `query_map`, a document is where it was moved to.

    Attributes:
        base: the documents that the method was fitted on.
        moved: the documents that it moved, or None.
        query_map: a module from (m, d) to (m, d) float32, applied to query vectors, or None.
        encoder: what replaces the encoder of the problem, or None.
        vectors: (n, d) float32, what replaces the vectors of all documents, or None; `reencode` fills it in with
            those of `encoder`.
        similarity: "cosine" when all document vectors have unit length, else "dot". Search is by dot product
            in both cases.
        device: where to search.
        chosen: the hyperparameters that were chosen.
        kept: tensors that the method needs to go on from here.
    """

    base: Corpus
    moved: Moved | None = None
    query_map: nn.Module | None = None
    encoder: Encoder | None = None
    vectors: Vectors | None = None
    similarity: Similarity = "cosine"
    device: torch.device = CPU
    chosen: Mapping[str, Any] = field(default_factory=dict)
    kept: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def corpus(self) -> Corpus:
        """The documents as they are searched."""
        corpus = self.base if self.vectors is None else replace(self.base, shards=(self.vectors,), moved=None)
        return corpus if self.moved is None else corpus.with_moved(self.moved)

    def reencode(self) -> VectorTuned:
        """The same search with all documents encoded by the new encoder, at unit length."""
        if self.encoder is None:
            return self
        items, vectors = self.base.items, np.empty((0, 0), dtype=np.float32)
        for at in range(0, len(items), AT_ONCE):
            block = nn.functional.normalize(self.encoder.encode(items[at : at + AT_ONCE], "document"), dim=1)
            if at == 0:
                vectors = np.empty((len(items), block.shape[1]), dtype=np.float32)
            vectors[at : at + len(block)] = block.numpy()
        return replace(self, vectors=vectors)

    def queries(self, queries: Queryset) -> Queryset:
        """The queries as they are searched with."""
        vectors = queries.vectors if self.encoder is None else self.encoder.encode(queries.items, "query")
        if self.query_map is not None:
            with torch.no_grad():
                vectors = self.query_map.to(self.device)(vectors.to(self.device)).cpu()
        return replace(queries, vectors=vectors)

    def apply(self, problem: Problem) -> Problem:
        """The problem that is left for the next method of a chain."""
        return replace(
            problem,
            corpus=self.corpus,
            train=self.queries(problem.train),
            dev=self.queries(problem.dev),
            encoder=self.encoder or problem.encoder,
            similarity=self.similarity,
        )

    def search(self, queries: Queries, k: int) -> Ranking:
        """The k best documents of each query.

        Raises:
            ProblemError: when a query vector is not finite or has another dimension than the documents.
        """
        mapped, corpus = self.queries(queries), self.corpus
        check_queries("queries", mapped, corpus)
        return top_k(mapped.vectors, corpus, k, exclude=queries.exclude, device=self.device)

    def save(self, folder: Path) -> None:
        """Writes `tuned.json`, `tuned.safetensors` and, when the encoder was replaced, `encoder/`.

        >>> import tempfile
        >>> from methods import Judged, NudgeN
        >>> judged = Judged.from_vectors([[1, 0, 0.8], [1, 0.1, 0.7]], [2, 2])
        >>> problem = Problem.from_vectors(np.eye(3), judged, judged)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     NudgeN().fit(problem).save(Path(folder))
        ...     loaded = NudgeN().load(Path(folder), problem.corpus)
        >>> loaded.search(judged, k=1).rows.tolist()
        [[2], [2]]
        """
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"kept.{name}": value for name, value in self.kept.items()}
        if self.moved is not None:
            tensors |= {"moved.rows": self.moved.rows, "moved.vectors": self.moved.vectors}
        if self.query_map is not None:
            tensors |= {f"query_map.{name}": value.contiguous() for name, value in self.query_map.state_dict().items()}
        if self.vectors is not None:
            tensors["vectors"] = torch.from_numpy(self.vectors)
        if self.encoder is not None:
            self.encoder.save(folder / "encoder")
        save_file(tensors, folder / "tuned.safetensors")
        about = {
            "n": self.base.n,
            "d": self.base.d,
            "similarity": self.similarity,
            "query_map": self.query_map is not None,
            "chosen": dict(self.chosen),
        }
        (folder / "tuned.json").write_text(json.dumps(about, indent=1) + "\n")

    @classmethod
    def load(
        cls,
        folder: Path,
        corpus: Corpus,
        build_query_map: Callable[[int], nn.Module],
        open_encoder: OpenEncoder | None = None,
    ) -> VectorTuned:
        """Opens what `save` wrote.

        Raises:
            ProblemError: when the corpus has another shape, or an encoder was saved and nothing can open it.
        """
        about = read_about(folder, corpus)
        tensors = load_file(folder / "tuned.safetensors")

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)}

        query_map = build_query_map(corpus.d) if about["query_map"] else None
        if query_map is not None:
            query_map.load_state_dict(part("query_map."))
        encoder = None
        if (folder / "encoder").exists():
            if open_encoder is None:
                raise ProblemError(f"{folder}: holds an encoder; pass `open_encoder` to open it")
            encoder = open_encoder(folder / "encoder")
        return cls(
            corpus,
            Moved(tensors["moved.rows"], tensors["moved.vectors"]) if "moved.rows" in tensors else None,
            query_map,
            encoder,
            np.asarray(tensors["vectors"]) if "vectors" in tensors else None,
            about["similarity"],
            chosen=about["chosen"],
            kept=part("kept."),
        )


def reencoded(tuned: Tuned, meter: Meter) -> Tuned:
    """The same search, its documents encoded under the phase "reencode" where the encoder was replaced."""
    if isinstance(tuned, VectorTuned) and tuned.encoder is not None and tuned.vectors is None:
        with meter.phase("reencode"):
            return tuned.reencode()
    return tuned


def read_about(folder: Path, corpus: Corpus) -> dict[str, Any]:
    """Reads `tuned.json`.

    Raises:
        ProblemError: when the corpus has another shape than the one that it was written for.
    """
    about: dict[str, Any] = json.loads((folder / "tuned.json").read_text())
    if (about["n"], about["d"]) != (corpus.n, corpus.d):
        raise ProblemError(
            f"{folder}: fitted on {about['n']} × {about['d']} document vectors, not on {corpus.n} × {corpus.d}"
        )
    return about
