"""Boards → the leaderboard in every form, and its figures: the same records give the same bytes."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from bench.names import MAIN
from bench.report.board import SUBSETS, Board, Row
from bench.report.entrants import SETTING, Setting
from bench.report.json_form import as_json
from bench.report.latex import latex
from bench.report.overall import overall
from bench.report.page import html, pieces
from bench.report.published import compare_published
from bench.report.published_sheet import PUBLISHED, published_tables
from bench.report.sheet import INTRODUCTION, Sheet
from bench.report.significance import TESTS
from bench.report.tables import Table
from bench.whole import write_whole

FIGURES = "figures"
_KEYS = (*SETTING, "method", "seeds", "seeds_done", "mark")
_HALF_WIDTHS = ("half_width", "query_half_width")
_FIGURES = (
    *(f"{MAIN}_{name}" for name in _HALF_WIDTHS),
    "fit_seconds",
    *(f"{subset}_{value}" for subset in SUBSETS for value in ("queries", MAIN)),
    *("gain", *(f"gain_{name}" for name in _HALF_WIDTHS), "gain_ratio", "significant"),
    *(f"p_{test}{suffix}" for test in TESTS for suffix in ("", "_holm")),
)


def leaderboards(boards: Sequence[Board]) -> dict[str, str]:
    """The text of every leaderboard file of these boards, by file name."""
    averaged = overall(boards)
    sections = pieces(boards, averaged)
    sheets = [piece.sheet for piece in sections]
    published = published_tables(boards)
    page, charts = html(sections, published)
    return {
        "leaderboard.md": markdown(sheets, published),
        "leaderboard.csv": comma_separated(boards),
        "leaderboard.tex": latex(sheets, published),
        "leaderboard.json": as_json(boards, averaged),
        "leaderboard.html": page,
        **{f"{FIGURES}/{name}": chart.standalone() for name, chart in charts.items()},
    }


def write_leaderboards(folder: Path, boards: Sequence[Board]) -> Path:
    """Writes them into a results folder, each whole or not at all, and returns the path of the page.

    Other SVG files in its folder `figures` are those of boards that are there no more, and are removed.
    """
    texts = leaderboards(boards)
    for name, text in texts.items():
        write_whole(folder / name, text.encode())
    for path in (folder / FIGURES).glob("*.svg"):
        if f"{FIGURES}/{path.name}" not in texts:
            path.unlink()
    return folder / "leaderboard.html"


def markdown(sheets: Sequence[Sheet], published: Sequence[Table]) -> str:
    """The sheets as GitHub-flavoured Markdown, and after them the tables of published figures."""
    parts = ["# Leaderboard", _escape(INTRODUCTION)]
    for each in sheets:
        parts += [f"## {_escape(each.title)}", _escape(each.facts), f"**{_escape(each.verdict)}**"]
        if each.decision:
            parts.append("\n".join(f"- {_escape(line)}" for line in each.decision))
        if each.curves:
            parts += _captioned(each.curves)
        parts += [_markdown_table(each.main), _escape(each.legend)]
        for table in (each.nearest, each.encodes):
            parts += _captioned(table) if table else []
        if each.notes:
            parts.append("\n".join(f"- {_escape(note)}" for note in each.notes))
    if published:
        parts += ["## Published and measured", _escape(PUBLISHED)]
        parts += [part for table in published for part in _captioned(table)]
    return "\n\n".join(parts) + "\n"


def comma_separated(boards: Sequence[Board]) -> str:
    """One line a board and method, at full precision; what is unknown or a gap is empty.

    Published figures stand beside the metrics that they are compared with. One that averages over several data sets
    has a line of its own, in which `dataset` names them all.
    """
    published = _published(boards)
    lines = [
        _line(board, row) | published.pop((replace(board.setting, fingerprint=""), row.method), {})
        for board in boards
        for row in board.rows
    ]
    lines += [asdict(setting) | {"method": method} | figures for (setting, method), figures in published.items()]
    metrics = dict.fromkeys(name for line in lines for name in line if name not in _KEYS + _FIGURES)
    text = io.StringIO()
    writer = csv.DictWriter(text, (*_KEYS, *metrics, *_FIGURES), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _published(boards: Sequence[Board]) -> dict[tuple[Setting, str], dict[str, object]]:
    """By setting and method: what was measured, what was published and the difference."""
    found: dict[tuple[Setting, str], dict[str, object]] = defaultdict(dict)
    for figure in compare_published(boards):
        if not figure.missing:
            beside = {"published": figure.published, "difference": figure.difference}
            found[figure.setting, figure.method] |= {
                figure.metric: figure.measured,
                **{f"{figure.metric}_{name}": value for name, value in beside.items()},
            }
    return found


def _line(board: Board, row: Row) -> dict[str, object]:
    line = asdict(board.setting)
    line |= {"method": row.method, "seeds": " ".join(map(str, board.seeds)), "seeds_done": row.done, "mark": row.mark}
    if row.figures:
        line |= row.figures.means
        line |= {f"{MAIN}_{name}": getattr(row.figures, name) for name in _HALF_WIDTHS}
        line |= {"fit_seconds": row.figures.fit_seconds}
        for name, subset in row.figures.subsets.items():
            line |= {f"{name}_queries": subset.queries, f"{name}_{MAIN}": subset.ndcg}
    if row.against:
        line |= {"gain": row.against.gain, "gain_ratio": row.against.ratio, "significant": row.against.sign}
        line |= {f"gain_{name}": getattr(row.against, name) for name in _HALF_WIDTHS}
        for test, (raw, holm) in row.against.p.items():
            line |= {f"p_{test}": raw, f"p_{test}_holm": holm}
    return line


def _captioned(table: Table) -> list[str]:
    return [f"{_escape(table.caption)}:", _markdown_table(table)]


def _markdown_table(table: Table) -> str:
    ruler = [":--"] + ["--:"] * (len(table.header) - 1)
    header = [_escape(name) for name in table.header]
    lines = [[f"**{_escape(c)}**" if line.bold else _escape(c) for c in line.cells] for line in table.lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ruler, *lines))


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<|~&$])", r"\\\1", text)
