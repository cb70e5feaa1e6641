"""What is wrong with a file, gathered while it is read, so that a person can mend all lines of one kind at once."""

from __future__ import annotations

from pathlib import Path

from bench.errors import BadInput

SHOWN = 10  # line numbers in an error


class Faults:
    """The faults of one file, by kind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: dict[str, str] = {}
        self._lines: dict[str, list[int]] = {}

    def add(self, kind: str, line: int, message: str) -> None:
        """Notes a fault; `message` says what is wrong and the remedy, and is shown for the first of its kind."""
        self._first.setdefault(kind, f"{self._path}, line {line}: {message}")
        self._lines.setdefault(kind, []).append(line)

    def check(self) -> None:
        """Raises BadInput with the kind that came first, and all lines that have it, when there is a fault."""
        for kind, message in self._first.items():
            more = self._lines[kind][1:]
            if not more:
                raise BadInput(message)
            shown = ", ".join(map(str, more[:SHOWN]))
            rest = f" and {len(more) - SHOWN:,} more" if len(more) > SHOWN else ""
            raise BadInput(f"{message}; so it is in line{'s' if len(more) > 1 else ''} {shown}{rest}")
