"""Factors that papers claim of one method over another, beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from bench.report.board import Board, Row


class Factor(BaseModel):
    """What a source claims.

    Attributes:
        source: where it stands.
        methods: names of the methods that it is claimed of.
        over: name of the method that they are compared with.
        unless: hyperparameters that make something else of that method when they are set.
        gain: their gain in accuracy over that method's.
        speed: that method's time to fit over theirs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    methods: tuple[str, ...] = Field(min_length=1)
    over: str
    unless: tuple[str, ...] = ()
    gain: float = Field(gt=0)
    speed: float = Field(gt=0)


@dataclass(frozen=True)
class Claimed:
    """A factor beside what one board has.

    Attributes:
        factor: what is claimed.
        board: what was measured.
        row: of the method that it is claimed of.
        over: of the method that it is compared with.
    """

    factor: Factor
    board: Board
    row: Row
    over: Row

    @property
    def gain(self) -> float | None:
        """The one's gain in NDCG@10 over the other's; None when the other has gained nothing."""
        if self.row.against is None or self.over.against is None or self.over.against.gain <= 0:
            return None
        return self.row.against.gain / self.over.against.gain

    @property
    def speed(self) -> float | None:
        """The other's time to fit over the one's; None when one is not known."""
        ours, theirs = (None if row.figures is None else row.figures.fit_seconds for row in (self.row, self.over))
        return theirs / ours if ours and theirs is not None else None


def compare_factors(boards: Sequence[Board], factors: Sequence[Factor]) -> list[Claimed]:
    """Looks for complete rows of both methods, whatever their settings, on the same board."""
    return [
        Claimed(factor, board, row, over)
        for board in boards
        for factor in factors
        for over in _rows(board, (factor.over,))
        if not any(f"{name}=" in over.method for name in factor.unless)
        for row in _rows(board, factor.methods)
    ]


def _rows(board: Board, names: Sequence[str]) -> list[Row]:
    return [
        row for row in board.rows if row.figures and row.method.partition("[")[0] in names and "+" not in row.method
    ]
