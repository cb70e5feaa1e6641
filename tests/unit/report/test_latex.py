"""LaTeX that compiles whatever names hold, as far as that can be told without compiling."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report import load_boards, write_leaderboards
from bench.report.latex import escape

if TYPE_CHECKING:
    from conftest import Cells

HOSTILE = r"\input{/etc/passwd}%$&_#^~<>|[x]--`'" + '"é☃\n'


def unescaped(characters: str, text: str) -> list[str]:
    return re.findall(rf"(?<!\\)[{re.escape(characters)}]", text)


@given(st.text())
def test_any_text_is_ascii_with_balanced_braces_and_no_special_character(text: str) -> None:
    written = escape(text)
    assert written.isascii()
    assert unescaped("&%#_", written) == []
    assert len(unescaped("$", written)) % 2 == 0
    assert not set("^~\"`'|<>") & set(written)
    depth = 0
    for brace in unescaped("{}", written):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0


@given(st.text("abc \\{}&%$#_^~<>|[]", max_size=20))
def test_a_reader_of_latex_finds_the_text_again(text: str) -> None:
    commands = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<"}
    commands |= {"textgreater": ">", "textbar": "|"}

    def read(found: re.Match[str]) -> str:
        return commands[found[1]] if found[1] else found[2] or found[3]

    assert re.sub(r"\\([a-z]+)\{\}|\\([&%$#_{}])|\{([\[\]])\}", read, escape(text)) == text


@pytest.mark.parametrize(("text", "written"), [("nudge-n", "nudge-n"), ("a--b", "a-{}-b"), ("0–4", "0\\textendash{}4")])
def test_hyphens_stay_what_they_are(text: str, written: str) -> None:
    assert escape(text) == written


def test_every_table_is_whole(cells: Cells) -> None:
    for dataset in ("icon-names", HOSTILE):
        for method, level in [("none", 0.0), ("nudge-m", 0.2), (HOSTILE, 0.1)]:
            cells.add_seeds(method, range(2), level, dataset=dataset)
    write_leaderboards(cells.folder, load_boards(cells.folder))
    text = (cells.folder / "leaderboard.tex").read_text()
    assert text.isascii()
    tables = re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, re.DOTALL)
    assert len(tables) == text.count("\\begin{table}") == 5  # overall, and two for each board
    for table in tables:
        head, body = table.split("\\toprule\n")
        columns = re.search(r"\\begin\{tabular\}\{l(r+)\}", head)
        assert columns
        rows = [line for line in body.splitlines() if line.endswith(" \\\\")]
        assert len(rows) >= 4
        assert {len(unescaped("&", row)) for row in rows} == {len(columns[1])}
        rules = [line for line in body.splitlines() if "rule" in line and not line.endswith("\\\\")]
        assert rules == ["\\midrule", "\\bottomrule"]
    assert "\\input" not in text


def test_pages_are_cleared_before_latex_runs_out_of_floats(cells: Cells) -> None:
    for number in range(20):
        cells.add("none", 0, dataset=f"set-{number}")
    write_leaderboards(cells.folder, load_boards(cells.folder))
    pages = (cells.folder / "leaderboard.tex").read_text().split("\\clearpage")
    held = [page.count("\\begin{table}") for page in pages]
    assert sum(held) == 2 * 20
    assert max(held) <= 18
