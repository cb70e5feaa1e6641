"""Sheets → LaTeX tables to be read into a paper; they need the package booktabs and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.report.published_sheet import PUBLISHED
from bench.report.sheet import Sheet
from bench.report.tables import Table

_FLOATS = 12  # LaTeX holds 18 before a page must be cleared


class _Written(dict[int, str]):
    """How LaTeX has each character written; what is not ASCII and has no command stands as its code point."""

    def __missing__(self, code: int) -> str:
        self[code] = chr(code) if code < 128 else f"U+{code:04X}"
        return self[code]


_WRITTEN = _Written(
    str.maketrans(
        {
            **{character: f"\\{character}" for character in "&%$#_{}"},
            **{character: f"{{{character}}}" for character in "[]"},  # else one that begins a line is an argument
            **{character: f"\\symbol{{{ord(character)}}}" for character in "\"'`"},
            "\\": "\\textbackslash{}",
            "~": "\\textasciitilde{}",
            "^": "\\textasciicircum{}",
            "<": "\\textless{}",
            ">": "\\textgreater{}",
            "|": "\\textbar{}",
            "±": "$\\pm$",
            "≈": "$\\approx$",
            "▲": "$\\uparrow$",
            "▼": "$\\downarrow$",
            "−": "$-$",
            "–": "\\textendash{}",
            "—": "\\textemdash{}",
            "·": "$\\cdot$",
            "…": "\\dots{}",
        }
    )
)


def latex(sheets: Sequence[Sheet], published: Sequence[Table]) -> str:
    r"""A `table` environment for each table, for `\input`; a float is as wide as its table."""
    tables = []
    for sheet in sheets:
        tables.append(_table(sheet.main, f"{sheet.title}. {sheet.verdict} {sheet.legend}"))
        further = filter(None, (sheet.nearest, sheet.encodes, sheet.curves))
        tables += [_table(table, f"{sheet.title}. {table.caption}.") for table in further]
    tables += [_table(table, f"{table.caption}. {PUBLISHED}") for table in published]
    pages = ["\n\n".join(tables[start : start + _FLOATS]) for start in range(0, len(tables), _FLOATS)]
    head = "% Needs \\usepackage{booktabs}. Written by tunebench: changes are lost.\n\n"
    return head + "\n\n\\clearpage\n\n".join(pages) + "\n"


def escape(text: str) -> str:
    """Text as LaTeX sets it, in text mode; two hyphens stay two."""
    return re.sub(r"-(?=-)", "-{}", text.translate(_WRITTEN))


def _table(table: Table, caption: str) -> str:
    bold = [f"\\textbf{{{escape(name)}}}" for name in table.header]
    lines = [
        [f"\\textbf{{{escape(cell)}}}" if line.bold else escape(cell) for cell in line.cells] for line in table.lines
    ]
    return "\n".join(
        (
            "\\begin{table}",
            f"\\caption{{{escape(caption)}}}",
            "\\centering\\small",
            f"\\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
            "\\toprule",
            _row(bold),
            "\\midrule",
            *map(_row, lines),
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
        )
    )


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"
