"""What a method's search space is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both included: whole ones when `low` is an int.

    Attributes:
        low: the lowest.
        high: the highest.
        log: whether they are drawn evenly by their logarithms.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of some values, in no order."""

    values: tuple[str | float | bool, ...]


Space: TypeAlias = Mapping[str, Range | Choice]
