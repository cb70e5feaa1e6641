"""Boards → one HTML file that needs nothing else, works from disk, and reads without its script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from markupsafe import Markup

from bench.report.board import Board
from bench.report.changes import change_parts, changed_rows
from bench.report.charts import Chart
from bench.report.entrants import Setting
from bench.report.figures import board_charts, overall_charts, stems
from bench.report.overall import Overall
from bench.report.overall_sheet import overall_sheet
from bench.report.published_sheet import PUBLISHED
from bench.report.sheet import INTRODUCTION, Sheet, sheet
from bench.report.tables import Table
from bench.report.templating import page_script, page_style, render
from bench.report.words import clean, device, listed
from bench.words import plural

T = TypeVar("T")
LIMIT = 1_400_000  # bytes; what the page then says of it, and the frame around a section, stay below 1.5 MB


@dataclass(frozen=True)
class Piece:
    """One section of the page.

    Attributes:
        id: its anchor.
        setting: of its board or standings.
        datasets: what the filter by data set knows it by.
        sheet: its text.
        charts: draws its charts, by name.
        board: what its methods have changed is shown; None for standings.
    """

    id: str
    setting: Setting
    datasets: tuple[str, ...]
    sheet: Sheet
    charts: Callable[[], dict[str, Chart]]
    board: Board | None = None

    @property
    def about(self) -> str:
        """What the filters know it by, as JSON."""
        return _about(self.setting, self.datasets)


def pieces(boards: Sequence[Board], overall: Sequence[Overall]) -> list[Piece]:
    """The sections in their order: standings over several data sets, then the boards."""
    shown: list[tuple[Any, ...]] = [
        (each.setting, each.datasets, overall_sheet(each), partial(overall_charts, each)) for each in overall
    ]
    shown += [(b.setting, (b.setting.dataset,), sheet(b), partial(board_charts, b), b) for b in boards]
    return [Piece(f"table-{number}", *each) for number, each in enumerate(shown, 1)]


def html(sections: Sequence[Piece], published: Sequence[Table]) -> tuple[str, dict[str, Chart]]:
    """The page, and the charts that are on it by the name of their file.

    Standings come first with their charts, then the tables of boards, their charts and last what methods have changed,
    the best of each board first, until `LIMIT` is reached; the page says what it had no room for.
    """
    style, script = page_style(), page_script()
    frame = partial(
        render,
        "leaderboard.html.j2",
        policy=_policy(style, script),
        style=Markup(style),  # noqa: S704 - our own
        script=Markup(script),  # noqa: S704 - our own
        filters=_filters(sections),
        introduction=INTRODUCTION,
        about_published=PUBLISHED,
    )
    room = _Room(LIMIT - len(frame(sections=[], published=[], left_out="").encode()))
    standings = sum(len(piece.datasets) > 1 for piece in sections)
    shown = room.fill(map(_bare, sections[:standings]))
    drawn = room.fill(map(_drawn, shown))
    shown += room.fill(map(_bare, sections[standings:]))
    tables = room.fill((table, _published(table)) for table in published)
    drawn += room.fill(map(_drawn, shown[len(drawn) :]))
    told = [piece.board for piece, _ in shown if piece.board]
    changes = room.fill(change_parts(told))
    missing = {
        "table": len(sections) - len(shown),
        "published table": len(published) - len(tables),
        "chart set": len(shown) - len(drawn),
        "change list": sum(len(changed_rows(board)) for board in told) - len(changes),
    }
    with_charts = zip(
        (piece for piece, _ in shown), [*(charts for charts, _ in drawn), *[{}] * len(shown)], strict=False
    )
    page = frame(
        sections=[
            (piece, _section(piece, charts, [text for board, text in changes if board is piece.board]))
            for piece, charts in with_charts
        ],
        published=[text for _, text in tables],
        left_out=_left_out(missing),
    )
    names = stems([piece.setting for piece in sections])
    return page, {
        f"{stem}-{name}.svg": chart
        for stem, (charts, _) in zip(names, drawn, strict=False)
        for name, chart in charts.items()
    }


class _Room:
    """How many bytes are left on the page."""

    def __init__(self, left: int) -> None:
        self._left = left

    def fill(self, parts: Iterable[tuple[T, str]]) -> list[tuple[T, str]]:
        """Takes things with their text until one does not fit; after that nothing fits any more."""
        taken = []
        for part in parts:
            self._left -= len(part[1].encode())
            if self._left < 0:
                break
            taken.append(part)
        return taken


def _bare(piece: Piece) -> tuple[Piece, str]:
    return piece, _section(piece, {}) + render("entry.html.j2", piece=piece)


def _drawn(shown: tuple[Piece, str]) -> tuple[dict[str, Chart], str]:
    charts = shown[0].charts()
    return charts, _charts(charts)


def _section(piece: Piece, charts: Mapping[str, Chart], changes: Sequence[str] = ()) -> Markup:
    told = Markup("".join(changes))  # noqa: S704 - escaped there
    return Markup(render("section.html.j2", piece=piece, charts=_charts(charts), changes=told))  # noqa: S704 - likewise


def _charts(charts: Mapping[str, Chart]) -> Markup:
    return Markup(render("charts.html.j2", charts=charts.values()) if charts else "")  # noqa: S704 - escaped there


def _published(table: Table) -> Markup:
    about = _about(table.about, table.about.dataset.split()) if table.about else "{}"
    return Markup(render("published.html.j2", table=table, about=about))  # noqa: S704 - escaped there


def _filters(sections: Sequence[Piece]) -> dict[str, list[str]]:
    about = [json.loads(piece.about) for piece in sections]
    return {name: sorted({value for each in about for value in each[name]}) for name in (about[0] if about else ())}


def _about(setting: Setting, datasets: Iterable[str]) -> str:
    about = {"data set": datasets, "encoder": [setting.encoder], "device": [device(setting)]}
    return json.dumps({name: [clean(value) for value in values] for name, values in about.items()})


def _left_out(missing: Mapping[str, int]) -> str:
    lost = [plural(count, what) for what, count in missing.items() if count]
    if not lost:
        return ""
    return f"Left out for the size of this page: {listed(lost)}. leaderboard.md, .csv and .json hold all figures."


def _policy(style: str, script: str) -> str:
    """Nothing from elsewhere, no style or script but these, and of pictures those that the page carries."""
    own = f"style-src {_hash(style)}; script-src {_hash(script)}; img-src data:"
    return f"default-src 'none'; {own}; base-uri 'none'"


def _hash(text: str) -> str:
    """The source expression that lets a content security policy admit this text alone."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
