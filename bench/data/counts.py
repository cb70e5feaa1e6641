"""How much a data set holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """How much a data set holds, or must hold.

    Attributes:
        documents: how many; None where nobody says.
        queries: those with a judgement that says relevant, all splits together; None where nobody says.
        judgements: those that say relevant; None where nobody says.
        exact: whether a data set that holds something else is not this one.
    """

    documents: int | None = None
    queries: int | None = None
    judgements: int | None = None
    exact: bool = True
