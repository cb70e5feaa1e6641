"""Documents with their vectors, which may be far more than fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods._errors import ProblemError
from methods._memory import halving

Vectors = NDArray[np.float32]
UNIT = 1e-3  # how far a document's length may be from 1; half precision leaves that much


@dataclass(frozen=True)
class Picture:
    """An image that lies in a file, which is read by whoever encodes it.

    Attributes:
        path: of the file; two pictures with the same content are equal wherever they lie.
        sha256: of the file's bytes, in hex.
    """

    path: Path = field(compare=False)
    sha256: str

    def __str__(self) -> str:
        return str(self.path)


Item: TypeAlias = str | Picture


@dataclass(frozen=True)
class Moved:
    """Documents that have left their place.

    Attributes:
        rows: (m,) int64, ascending.
        vectors: (m, ≥ d) float32: where they are now. Coordinates beyond those of the other documents are 0 for these.
    """

    rows: Tensor
    vectors: Tensor

    def keep(self, which: Tensor) -> Moved:
        """The documents that are marked, (m,) bool."""
        return Moved(self.rows[which], self.vectors[which])

    def overlaid(self, newer: Moved) -> Moved:
        """These and the newer ones; a document that is among both is where the newer say."""
        stay = ~torch.isin(self.rows, newer.rows)
        rows = torch.cat([self.rows[stay], newer.rows])
        vectors = torch.cat([_widened(self.vectors[stay], newer.vectors.shape[1]), newer.vectors])
        order = rows.argsort()
        return Moved(rows[order], vectors[order])


@dataclass(frozen=True)
class Corpus:
    """The documents of a search.

    Attributes:
        items: the n texts or pictures; empty when only vectors are known.
        shards: the vectors in order, each (n_i, d) float32, memory-mapped or not. They have unit length, unless
            the problem that they belong to says "dot".
        priority: (n,) int64, a permutation: of documents with one score, the smaller goes first. It comes from a
            hash of the document's id, so that the order of the rows can favour nobody.
        moved: documents that are no longer where the shards say.
    """

    items: Sequence[Item]
    shards: tuple[Vectors, ...]
    priority: NDArray[np.int64]
    moved: Moved | None = None

    @classmethod
    def from_vectors(
        cls, vectors: Vectors, items: Sequence[Item] = (), priority: NDArray[np.int64] | None = None
    ) -> Corpus:
        """One shard; without a priority, ties fall to a fixed permutation of the rows.

        Raises:
            ProblemError: for an array that is not (n, d) float32, or a row that is not finite or not of unit length.

        >>> Corpus.from_vectors(np.eye(3, dtype=np.float32)).n
        3
        """
        if vectors.ndim != 2 or vectors.dtype != np.float32:
            raise ProblemError(f"documents: {vectors.dtype} of shape {vectors.shape}; pass float32 of shape (n, d)")
        lengths = np.linalg.norm(vectors, axis=1)
        bad = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT))
        if len(bad):
            row = bad[0]
            raise ProblemError(f"documents: row {row} has length {lengths[row]:.4g}; scale every row to length 1")
        if priority is None:
            priority = np.random.default_rng(0).permutation(len(vectors))
        return cls(items, (vectors,), priority)

    @cached_property
    def _starts(self) -> Tensor:
        return torch.tensor([0, *(len(shard) for shard in self.shards)]).cumsum(0)

    @property
    def n(self) -> int:
        """The number of documents."""
        return int(self._starts[-1])

    @property
    def d(self) -> int:
        """The number of dimensions."""
        return int(self.shards[0].shape[1] if self.moved is None else self.moved.vectors.shape[1])

    def blocks(self, device: torch.device, size: int) -> Iterator[tuple[int, Tensor]]:
        """Yields (first row, (≤ size, d) float32 vectors on the device) over all documents in order."""
        for shard, first in zip(self.shards, self._starts.tolist(), strict=False):
            yield from halving(partial(self._block, shard, first, device), len(shard), size)

    def rows(self, ids: Tensor) -> Tensor:
        """The (k, d) float32 vectors of the given rows, (k,) int64, on the CPU."""
        vectors = torch.zeros(len(ids), self.d)
        shard_of = torch.searchsorted(self._starts, ids, right=True) - 1
        for number in shard_of.unique().tolist():
            here = shard_of == number
            within = ids[here] - self._starts[number]
            vectors[here, : self.shards[number].shape[1]] = torch.from_numpy(self.shards[number][within.numpy()])
        if self.moved is not None and len(self.moved.rows):
            hit, at = position(self.moved.rows, ids)
            vectors[hit] = self.moved.vectors[at[hit]]
        return vectors

    def with_moved(self, moved: Moved) -> Corpus:
        """The same documents with these in new places, on top of those that had moved before."""
        return replace(self, moved=moved if self.moved is None else self.moved.overlaid(moved))

    def _block(self, shard: NDArray[np.float32], first: int, device: torch.device, some: slice) -> tuple[int, Tensor]:
        start = first + some.start
        return start, self._with_moved(start, torch.from_numpy(shard[some])).to(device)

    def _with_moved(self, start: int, block: Tensor) -> Tensor:
        if self.moved is None:
            return block
        block = _widened(block, self.d)
        low, high = torch.searchsorted(self.moved.rows, torch.tensor([start, start + len(block)])).tolist()
        if low == high:
            return block
        block = block.clone()
        block[self.moved.rows[low:high] - start] = self.moved.vectors[low:high]
        return block


def _widened(vectors: Tensor, d: int) -> Tensor:
    """The vectors with zeros in the coordinates that they lack."""
    return torch.nn.functional.pad(vectors, (0, d - vectors.shape[1])) if vectors.shape[1] < d else vectors


def position(ascending: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each value is among the ascending ones, and a valid index that is its own if so."""
    place = torch.searchsorted(ascending, values).clamp(max=len(ascending) - 1)
    return ascending[place] == values, place
