"""The terminal, and what is written where there is none: plain, untruncated text, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 10_000  # columns; wide enough that Rich cuts nothing when nobody's window is there to wrap it


def console_of(*, stderr: bool = False) -> Console:
    """A terminal as wide as it is, or something else that nothing is cut for."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=PLAIN_WIDTH)


def waiting(what: str, *, quiet: bool) -> AbstractContextManager[object]:
    """Says on a terminal what is being waited for, as long as it is."""
    console = console_of(stderr=True)
    return console.status(what) if console.is_terminal and not quiet else nullcontext()


def write_json(value: object) -> None:
    """Prints JSON, for machines."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def print_rows(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Prints rows that share their keys, as a table or as a JSON list."""
    if as_json:
        write_json(rows)
        return
    console_of().print(table_of(rows))


def table_of(rows: Sequence[Mapping[str, str | int]]) -> Table:
    """Rows that share their keys as a table; numbers stand at the right."""
    table = Table(box=None, pad_edge=False)
    for name, value in rows[0].items():
        table.add_column(name, justify="right" if isinstance(value, int) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(f"{value:,}" if isinstance(value, int) else value) for value in row.values()))
    return table
