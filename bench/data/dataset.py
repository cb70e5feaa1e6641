"""What every data set becomes, wherever it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods import Csr, Item, Judged

Content: TypeAlias = str | bytes


@dataclass(frozen=True)
class Extraction:
    """Texts or pictures, and judgements, that a loader took from their source, before they are cached as a BEIR folder.

    Attributes:
        documents: (id, text or the bytes of an image file) of each document; may be more than fit into memory.
        queries: query id to text or image file.
        qrels: query id to {document id: grade}, grades positive integers.
        groups: query id to the name of its group of near-copies; a query that is missing is its own group.
        source: package or repository to version: what the texts were taken from.
        split_of: query id to "train", "dev" or "test", for all of them, when the source has an official split.
    """

    documents: Iterable[tuple[str, Content]]
    queries: Mapping[str, Content]
    qrels: Mapping[str, Mapping[str, int]]
    source: Mapping[str, str]
    groups: Mapping[str, str] = field(default_factory=dict)
    split_of: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """A corpus, judged queries and their judgements.

    Attributes:
        name: the name under which it was asked for.
        fingerprint: SHA-256 over everything that was read; two data sets that share it are the same.
        document_ids: the n document ids, unique.
        documents: the n documents.
        query_ids: the m ids of the queries that have a judgement, unique.
        queries: the m queries.
        qrels: m rows over n columns: the relevant documents of each query with their grades.
        exclude: m rows over n columns: documents that a query must not retrieve, which is itself.
        groups: (m,) int64; queries that share a number are near-copies of one another.
        official: the split's name ("train", "dev", "test") to query rows; empty when the source has no official split.
    """

    name: str
    fingerprint: str
    document_ids: Sequence[str]
    documents: Sequence[Item]
    query_ids: Sequence[str]
    queries: Sequence[Item]
    qrels: Csr
    exclude: Csr
    groups: NDArray[np.int64]
    official: Mapping[str, NDArray[np.int64]]

    def judged(self, rows: NDArray[np.int64], vectors: Tensor) -> Judged:
        """The queries of some rows, (k,); `vectors`, (m, d), are those of all queries."""
        chosen = torch.from_numpy(rows)
        return Judged(
            [self.queries[row] for row in rows],
            vectors[chosen],
            self.exclude.take(chosen),
            relevant=self.qrels.take(chosen),
        )

    def limited(self, limit: int | None) -> Dataset:
        """At the most so many of its queries, chosen by a hash of their ids; the corpus stays whole."""
        if limit is None or limit >= len(self.query_ids):
            return self
        hashes = [hashlib.sha256(key.encode()).digest() for key in self.query_ids]
        rows = np.sort(np.array(sorted(range(len(hashes)), key=hashes.__getitem__)[:limit], dtype=np.int64))
        chosen = torch.from_numpy(rows)
        return replace(
            self,
            query_ids=[self.query_ids[row] for row in rows],
            queries=[self.queries[row] for row in rows],
            qrels=self.qrels.take(chosen),
            exclude=self.exclude.take(chosen),
            groups=self.groups[rows],
            official={split: np.flatnonzero(np.isin(rows, own)) for split, own in self.official.items()},
        )
