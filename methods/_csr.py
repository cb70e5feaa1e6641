"""Sparse rows: the relevant documents of queries, with their grades."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from methods._corpus import position


@dataclass(frozen=True)
class Csr:
    """Rows of (column, value) pairs: the relevant documents of queries, with their grades.

    Attributes:
        offsets: (n + 1,) int64; row i holds the pairs offsets[i] to offsets[i + 1].
        columns: (pairs,) int64.
        values: (pairs,) float32.
    """

    offsets: Tensor
    columns: Tensor
    values: Tensor

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[int, float] | Iterable[int]]) -> Csr:
        """Builds it from one mapping {column: value} a row, or from one list of columns a row, all of value 1.

        >>> Csr.from_rows([[3, 5], [], {4: 2.0}]).lengths.tolist()
        [2, 0, 1]
        """
        filled = [row if isinstance(row, Mapping) else dict.fromkeys(row, 1.0) for row in rows]
        lengths = torch.tensor([0, *(len(row) for row in filled)], dtype=torch.int64)
        return cls(
            lengths.cumsum(0),
            torch.tensor([column for row in filled for column in row], dtype=torch.int64),
            torch.tensor([float(value) for row in filled for value in row.values()], dtype=torch.float32),
        )

    @classmethod
    def from_pairs(cls, rows: Tensor, columns: Tensor, n: int) -> Csr:
        """Builds n rows from (pairs,) int64 rows and columns, in any order, all of value 1."""
        order = rows.argsort(stable=True)
        lengths = torch.bincount(rows, minlength=n)
        return cls(torch.nn.functional.pad(lengths.cumsum(0), (1, 0)), columns[order], torch.ones(len(rows)))

    @classmethod
    def concatenated(cls, *parts: Csr) -> Csr:
        """The rows of one after those of the other."""
        lengths = torch.cat([part.lengths for part in parts])
        return cls(
            torch.nn.functional.pad(lengths.cumsum(0), (1, 0)),
            torch.cat([part.columns for part in parts]),
            torch.cat([part.values for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Tensor:
        """(n,) int64: the number of pairs of each row."""
        return self.offsets.diff()

    @cached_property
    def rows(self) -> Tensor:
        """(pairs,) int64: the row of each pair."""
        return torch.repeat_interleave(torch.arange(len(self)), self.lengths)

    def row_sums(self, per_pair: Tensor) -> Tensor:
        """(n,) float64: the sum of one value a pair, (pairs,), over each row."""
        return torch.zeros(len(self), dtype=torch.float64).index_add_(0, self.rows, per_pair.double())

    def among(self, known: Tensor) -> Csr:
        """Of the columns those that are in `known`, (t,) int64 and ascending, by their places there."""
        found, place = position(known, self.columns)
        return Csr.from_pairs(self.rows[found], place[found], len(self))

    def take(self, rows: Tensor) -> Csr:
        """The given rows, (k,) int64, in that order."""
        lengths = self.lengths[rows]
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        within = torch.arange(int(offsets[-1])) - torch.repeat_interleave(offsets[:-1], lengths)
        pairs = torch.repeat_interleave(self.offsets[rows], lengths) + within
        return Csr(offsets, self.columns[pairs], self.values[pairs])
