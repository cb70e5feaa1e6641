"""Boards → leaderboard.md, leaderboard.csv and leaderboard.html: the same records give the same bytes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.names import MAIN
from bench.record import write_whole
from bench.report.board import SUBSETS, Board, Row
from bench.report.entrants import SETTING
from bench.report.sheet import INTRODUCTION, Sheet, Table, sheet
from bench.report.significance import TESTS

_KEYS = (*SETTING, "method", "seeds", "seeds_done", "mark")
_FIGURES = (
    *(f"{MAIN}_half_width", "fit_seconds"),
    *(f"{subset}_{value}" for subset in SUBSETS for value in ("queries", MAIN)),
    *("gain", "gain_ratio", "significant"),
    *(f"p_{test}{suffix}" for test in TESTS for suffix in ("", "_holm")),
)


def leaderboards(boards: Sequence[Board]) -> dict[str, str]:
    """The text of every leaderboard file of these boards, by file name."""
    sheets = [sheet(board) for board in boards]
    return {
        "leaderboard.md": markdown(sheets),
        "leaderboard.csv": comma_separated(boards),
        "leaderboard.html": html(sheets),
    }


def write_leaderboards(folder: Path, boards: Sequence[Board]) -> Path:
    """Writes them into a results folder, each whole or not at all, and returns the path of the page."""
    for name, text in leaderboards(boards).items():
        write_whole(folder / name, text.encode())
    return folder / "leaderboard.html"


def markdown(sheets: Sequence[Sheet]) -> str:
    """The sheets as GitHub-flavoured Markdown."""
    parts = ["# Leaderboard", _escape(INTRODUCTION)]
    for each in sheets:
        parts += [f"## {_escape(each.title)}", _escape(each.facts), f"**{_escape(each.verdict)}**"]
        parts += [_markdown_table(each.main), _escape(each.legend)]
        if each.nearest:
            parts += [f"{_escape(each.nearest.caption)}:", _markdown_table(each.nearest)]
        if each.notes:
            parts.append("\n".join(f"- {_escape(note)}" for note in each.notes))
    return "\n\n".join(parts) + "\n"


def html(sheets: Sequence[Sheet]) -> str:
    """The sheets as one page that needs nothing else: no script, no font, no reference to anywhere."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return templates.get_template("leaderboard.html.j2").render(sheets=sheets, introduction=INTRODUCTION)


def comma_separated(boards: Sequence[Board]) -> str:
    """One line a board and method, at full precision; what is unknown or a gap is empty."""
    lines = [_line(board, row) for board in boards for row in board.rows]
    metrics = dict.fromkeys(name for line in lines for name in line if name not in _KEYS + _FIGURES)
    text = io.StringIO()
    writer = csv.DictWriter(text, (*_KEYS, *metrics, *_FIGURES), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _line(board: Board, row: Row) -> dict[str, object]:
    line = asdict(board.setting)
    line |= {"method": row.method, "seeds": " ".join(map(str, board.seeds)), "seeds_done": row.done, "mark": row.mark}
    if row.figures:
        line |= row.figures.means
        line |= {f"{MAIN}_half_width": row.figures.half_width, "fit_seconds": row.figures.fit_seconds}
        for name, subset in row.figures.subsets.items():
            line |= {f"{name}_queries": subset.queries, f"{name}_{MAIN}": subset.ndcg}
    if row.against:
        line |= {"gain": row.against.gain, "gain_ratio": row.against.ratio, "significant": row.against.sign}
        for test, (raw, holm) in row.against.p.items():
            line |= {f"p_{test}": raw, f"p_{test}_holm": holm}
    return line


def _markdown_table(table: Table) -> str:
    ruler = [":--"] + ["--:"] * (len(table.header) - 1)
    header = [_escape(name) for name in table.header]
    lines = [[f"**{_escape(c)}**" if line.bold else _escape(c) for c in line.cells] for line in table.lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ruler, *lines))


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<|~&$])", r"\\\1", text)
