"""What the methods of each board changed, query by query, as pieces of the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from textwrap import shorten
from typing import Any

from bench.changes import Change, Changes, Moves, Place, Snippet, read_changes
from bench.names import BASELINE
from bench.report.board import Board
from bench.report.templating import render
from bench.report.words import GAP, TO, clean, listed
from bench.words import plural

QUERIES = 5  # of a method that gained, and as many that lost
LONGEST = 130  # characters of a text or an id; a cell keeps fewer of a text
NAMED = 40  # characters of a train query
ABOUT = (
    f"The test queries whose NDCG@10 rose or fell most against {BASELINE} on the same seed, at the most {QUERIES} each "
    "way over all seeds. ✓: a relevant document; of those the best are listed, and what came first before and now. "
    f"Before, now: the document's rank; {GAP}: not among the first 100. "
    "Moved: the angle between where the document's vector was and where it is now; train queries that it answers."
)


@dataclass(frozen=True)
class Shown:
    """A query or a document.

    Attributes:
        text: its first words, or its id.
        picture: a WebP in Base64, or None.
    """

    text: str
    picture: str | None


@dataclass(frozen=True)
class DocumentLine:
    """A document of a query: what it is, and whether it is relevant; its ranks, and how far it moved, in words."""

    document: Shown
    answer: bool
    before: str
    now: str
    moved: str


@dataclass(frozen=True)
class QueryLines:
    """A query that changed: what it is, how its NDCG@10 changed, in words, and its documents."""

    query: Shown
    change: str
    documents: tuple[DocumentLine, ...]


def changed_rows(board: Board) -> list[tuple[str, list[tuple[int, Path]]]]:
    """The methods of a board that some file tells of, the best first, each with its seeds and their files."""
    told = [
        (row.method, [(seed, path) for seed, path in board.changes[row.method].items() if path.exists()])
        for row in board.rows
    ]
    return [(method, files) for method, files in told if files]


def change_parts(boards: Sequence[Board]) -> Iterator[tuple[Board, str]]:
    """What the methods changed, one method after the other, in HTML, each with its board.

    The best method of each board comes first, then the second best of each, and so on: who takes as many as there is
    room for has the best of all. Nothing is read before it is asked for.

    Raises:
        BadInput: when a file of changes is damaged.
    """
    for rank, rows in enumerate(zip_longest(*map(changed_rows, boards))):
        for board, row in zip(boards, rows, strict=True):
            if row:
                method, files = row
                cells = {seed: changes for seed, path in files if (changes := read_changes(path))}
                about = "" if rank else ABOUT
                yield board, render("changes.html.j2", about=about, **_of_method(method, cells))


def _of_method(method: str, cells: Mapping[int, Changes]) -> dict[str, Any]:
    gained = _most({seed: changes.gained for seed, changes in cells.items()})
    lost = _most({seed: changes.lost for seed, changes in cells.items()})
    moves = [changes.moves for changes in cells.values() if changes.moves]
    return {
        "method": clean(method),
        "gained": [_lines(seed, change, cells[seed]) for seed, change in gained],
        "lost": [_lines(seed, change, cells[seed]) for seed, change in lost],
        "moved": _moved(moves) if moves else "",
    }


def _most(by_seed: Mapping[int, Sequence[Change]]) -> list[tuple[int, Change]]:
    """The largest changes of all seeds, each query once; of equal ones those that stand first in their cell."""
    ranked = sorted(
        (-abs(change.after - change.before), place, seed, change)
        for seed, changes in by_seed.items()
        for place, change in enumerate(changes)
    )
    best: dict[str, tuple[int, Change]] = {}
    for _, _, seed, change in ranked:
        best.setdefault(change.query, (seed, change))
    return list(best.values())[:QUERIES]


def _moved(moves: Sequence[Moves]) -> str:
    def between(values: Iterable[float], form: str) -> str:
        lowest, highest = (f"{value:{form}}" for value in (min(values), max(values)))
        return lowest if lowest == highest else f"{lowest}{TO}{highest}"

    documents = between([each.documents for each in moves], ",d")
    median, most = (between([getattr(each, name) for each in moves], "g") for name in ("median", "most"))
    return f"Of all documents {documents} moved, by {median}° in the median and {most}° at the most."


def _lines(seed: int, change: Change, changes: Changes) -> QueryLines:
    more = f" · {plural(change.answers, 'relevant document')}" if change.answers > 1 else ""
    return QueryLines(
        query=_shown(change.query, changes.queries),
        change=f"NDCG@10 {change.before:.2f} → {change.after:.2f} · seed {seed}{more}",
        documents=tuple(_line(place, changes) for place in change.places),
    )


def _line(place: Place, changes: Changes) -> DocumentLine:
    return DocumentLine(
        document=_shown(place.document, changes.documents),
        answer=place.answer,
        before=GAP if place.before is None else str(place.before),
        now=GAP if place.after is None else str(place.after),
        moved=_move(place.document, changes),
    )


def _move(document: str, changes: Changes) -> str:
    move = changes.moves.shown.get(document) if changes.moves else None
    if move is None:
        return GAP
    named = [f"“{shorten(_shown(query, changes.queries).text, NAMED, placeholder='…')}”" for query in move.queries]
    if move.asked > len(named):
        named.append(f"{move.asked - len(named):,} more")
    return f"{move.degrees:g}°; {listed(named) if named else 'no train query'}"


def _shown(key: str, snippets: Mapping[str, Snippet]) -> Shown:
    snippet = snippets.get(key, Snippet())
    return Shown(clean(snippet.text or key)[:LONGEST], snippet.picture)
