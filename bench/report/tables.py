"""Tables as text."""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.entrants import Setting


@dataclass(frozen=True)
class Line:
    """One row of a table.

    Attributes:
        cells: its text, the method first.
        bold: whether to print it bold.
        values: what each cell after the first is sorted by; None for a gap, and for text, which is its own order.
            None at all where a table is never sorted.
    """

    cells: tuple[str, ...]
    bold: bool
    values: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table as text; every line has as many cells as the header. The first column reads left, the others right.

    Attributes:
        caption: what it shows.
        header: names of the columns.
        lines: its rows.
        about: the setting of a table that stands by itself; its `dataset` may name several, joined by spaces.
    """

    caption: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]
    about: Setting | None = None
