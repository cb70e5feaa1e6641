"""Queries, with and without their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import SupportsInt, TypeAlias, TypeVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from methods._corpus import Corpus, Item
from methods._csr import Csr
from methods._errors import ProblemError

CPU = torch.device("cpu")
Floats: TypeAlias = Tensor | ArrayLike
Queryset = TypeVar("Queryset", bound="Queries")


@dataclass(frozen=True)
class Queries:
    """Queries to be answered.

    Attributes:
        items: the n texts or pictures; empty when only vectors are known.
        vectors: (n, d) float32 on the CPU, as the encoder gave them.
        exclude: n rows over the documents: what a query must not retrieve (itself, say), or None.
    """

    items: Sequence[Item]
    vectors: Tensor
    exclude: Csr | None = None

    @classmethod
    def from_vectors(cls, vectors: Floats) -> Queries:
        """Queries of which only vectors are known, (n, d) floats.

        >>> len(Queries.from_vectors([[1, 0], [0, 1]]))
        2
        """
        return Queries((), float32(vectors))

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class Judged(Queries):
    """Queries whose relevant documents are known.

    Attributes:
        relevant: n rows over the documents, with positive grades; a row may be empty.
    """

    relevant: Csr = field(kw_only=True)

    @classmethod
    def from_vectors(
        cls, vectors: Floats, relevant: Iterable[int | Iterable[int] | Mapping[int, float]] = ()
    ) -> Judged:
        """Queries of which only vectors are known, and their answers.

        Args:
            vectors: (n, d) floats.
            relevant: for each query the row of its relevant document, the rows of several, or {row: grade}.

        >>> judged = Judged.from_vectors([[1, 0], [0, 1], [1, 1]], [4, [2, 3], {7: 2.0}])
        >>> judged.relevant.columns.tolist(), judged.relevant.values.tolist()
        ([4, 2, 3, 7], [1.0, 1.0, 1.0, 2.0])
        """
        rows = [[int(row)] if isinstance(row, SupportsInt) else row for row in relevant]
        return Judged((), float32(vectors), relevant=Csr.from_rows(rows))

    def take(self, rows: Tensor) -> Judged:
        """The given queries, (k,) int64, in that order."""
        return Judged(
            [self.items[row] for row in rows.tolist()] if len(self.items) else (),
            self.vectors[rows],
            None if self.exclude is None else self.exclude.take(rows),
            relevant=self.relevant.take(rows),
        )

    def answered(self) -> Judged:
        """The queries that have an answer, at unit length, without their items."""
        some = replace(self, items=()).take((self.relevant.lengths > 0).nonzero()[:, 0])
        return replace(some, vectors=torch.nn.functional.normalize(some.vectors, dim=1))

    def retrievable(self) -> Tensor:
        """(pairs,) bool: which of its answers each query may retrieve."""
        retrievable = torch.ones(len(self.relevant.columns), dtype=torch.bool)
        if self.exclude is not None:
            excluded = self.exclude.take(self.relevant.rows)
            retrievable[excluded.rows[excluded.columns == self.relevant.columns[excluded.rows]]] = False
        return retrievable

    def no_negatives(self) -> Csr:
        """What is no negative of each query: the documents that answer it, and those that it must not retrieve."""
        if self.exclude is None:
            return self.relevant
        both = (self.relevant, self.exclude)
        rows, columns = torch.cat([part.rows for part in both]), torch.cat([part.columns for part in both])
        return Csr.from_pairs(rows, columns, len(self))

    def joined(self, other: Judged) -> Judged:
        """These queries and then the others."""
        nothing = [Csr.from_rows([[]] * len(part)) for part in (self, other)]
        exclude = [part.exclude or none for part, none in zip((self, other), nothing, strict=True)]
        return Judged(
            [*self.items, *other.items],
            torch.cat([self.vectors, other.vectors]),
            Csr.concatenated(*exclude),
            relevant=Csr.concatenated(self.relevant, other.relevant),
        )


def float32(vectors: Floats) -> Tensor:
    """Floats in whatever form as a float32 tensor on the CPU."""
    return torch.as_tensor(vectors, dtype=torch.float32, device=CPU)


def check_queries(name: str, queries: Queries, corpus: Corpus) -> None:
    """Raises ProblemError when the queries cannot be searched or learnt from in this corpus."""
    vectors = queries.vectors
    if vectors.ndim != 2 or vectors.shape[1] != corpus.d:
        raise ProblemError(
            f"{name}.vectors: shape {tuple(vectors.shape)}, but the documents have {corpus.d} dimensions"
        )
    if vectors.dtype != torch.float32 or vectors.device != CPU:
        raise ProblemError(f"{name}.vectors: {vectors.dtype} on {vectors.device}; pass float32 on the CPU")
    bad = (~vectors.isfinite().all(1)).nonzero()
    if len(bad):
        raise ProblemError(f"{name}.vectors: row {int(bad[0])} is not finite; drop that query or encode it again")
    pairs = {"exclude": queries.exclude, "relevant": queries.relevant if isinstance(queries, Judged) else None}
    for kind, csr in pairs.items():
        if csr is None:
            continue
        if len(csr) != len(queries):
            raise ProblemError(f"{name}.{kind}: {len(csr)} rows for {len(queries)} queries")
        unknown = ((csr.columns < 0) | (csr.columns >= corpus.n)).nonzero()
        if len(unknown):
            pair = int(unknown[0])
            raise ProblemError(
                f"{name}.{kind}: row {int(csr.rows[pair])} names document {int(csr.columns[pair])} of {corpus.n}"
            )
