"""The page admits its own script and style alone, fits its limit, and says what it left out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import unescape
from typing import TYPE_CHECKING

import pytest

from bench.report import load_boards, write_leaderboards
from bench.report.figures import stems

if TYPE_CHECKING:
    from conftest import Cells

HOSTILE = "\"><img src=x onerror=alert(1)>/../'"


def fill(cells: Cells, *datasets: str) -> str:
    for dataset in datasets:
        for method, level in [("none", 0.0), ("nudge-m", 0.2), ("adaptor", 0.1)]:
            cells.add(method, 0, level, dataset=dataset)
    return written(cells)


def written(cells: Cells) -> str:
    return write_leaderboards(cells.folder, load_boards(cells.folder)).read_text()


def figures(cells: Cells) -> set[str]:
    return {path.name for path in (cells.folder / "figures").iterdir()}


def test_the_policy_admits_this_style_and_this_script_alone(cells: Cells) -> None:
    text = fill(cells, "icon-names")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    hashes = {}
    for kind in ("style", "script"):
        content = re.search(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        assert content
        hashes[kind] = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
    assert unescape(policy[1]) == (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; script-src 'sha256-{hashes['script']}'; "
        "img-src data:; base-uri 'none'"
    )


def test_the_overall_table_comes_first_and_says_what_it_left_out(cells: Cells) -> None:
    cells.add("adaptor", 0, dataset="icons")
    fill(cells, "icon-names", "apidocs")
    cells.add_seeds("bm25", range(1), -0.1, dataset="apidocs")
    text = written(cells)
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles[0] == "Overall, 2 data sets · minilm · random split · cpu, 2 threads"
    assert "icons: left out, none is not complete" in text
    assert "— (1 of 2 data sets)" in text
    assert "Overall, 2 data sets" in (cells.folder / "leaderboard.md").read_text()


def test_sections_tell_filters_what_they_are_about(cells: Cells) -> None:
    text = fill(cells, HOSTILE, "apidocs")
    about = [json.loads(unescape(each)) for each in re.findall(r'<section [^>]*data-about="([^"]*)"', text)]
    assert [each["data set"] for each in about] == [[HOSTILE, "apidocs"], [HOSTILE], ["apidocs"]]
    assert {tuple(each["device"]) for each in about} == {("cpu, 2 threads",)}
    options = re.findall(r"<option>(.*?)</option>", text)
    assert [unescape(option) for option in options] == [HOSTILE, "apidocs"]  # one encoder and device are no choice


def test_cells_carry_the_numbers_that_they_are_sorted_by(cells: Cells) -> None:
    fill(cells, "apidocs")
    cells.lose("bm25", 0, "out of memory", dataset="apidocs")
    rows = re.findall(r'<tr.*?<th scope="row">(.*?)</th>(.*?)</tr>', written(cells))
    values = {name: re.findall(r'data-value="([^"]*)"', cells) for name, cells in rows[:4]}
    (board,) = load_boards(cells.folder)
    best = board.rows[0]
    assert best.figures
    assert best.against
    assert [float(value) for value in values["nudge-m"][:2]] == pytest.approx(
        [best.figures.means["ndcg@10"], best.against.gain], rel=1e-5
    )
    assert values["none"][1] == "0"
    assert values["bm25"] == []


def test_charts_and_then_tables_are_left_out_of_a_page_that_grows_too_large(
    cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fill(cells, "a", "b", "c")
    assert "Left out" not in whole
    monkeypatch.setattr("bench.report.page.LIMIT", len(whole.encode()) - 100)
    fewer = written(cells)
    assert fewer.count("<svg") < whole.count("<svg")
    assert fewer.count("<section") == whole.count("<section")
    assert "Left out for the size of this page: 1 chart set." in fewer
    assert figures(cells) == {
        *(f"{name}-minilm-{chart}.svg" for name in "ab" for chart in ("gain", "ndcg", "nearest")),
        "overall-minilm-gain.svg",
    }
    monkeypatch.setattr("bench.report.page.LIMIT", 18_500)
    least = written(cells)
    assert 0 < least.count("<section") < whole.count("<section")
    assert len(least.encode()) < 18_500 + 500
    assert re.search(r"Left out for the size of this page: \d tables?[ ,]", least)
    assert least.count("<li data-about") == least.count("<section ")


def test_figures_of_boards_that_are_gone_are_removed(cells: Cells) -> None:
    fill(cells, "apidocs")
    stray = cells.folder / "figures" / "icons-minilm-gain.svg"
    stray.write_text("<svg/>")
    written(cells)
    assert figures(cells) == {f"apidocs-minilm-{chart}.svg" for chart in ("gain", "ndcg", "nearest")}


def test_figures_of_one_data_set_and_encoder_on_two_devices_have_names_of_their_own(cells: Cells) -> None:
    for threads in (1, 2):
        for method in ("none", "adaptor"):
            cells.add(method, 0, threads=threads)
    fill(cells, HOSTILE)
    names = stems([board.setting for board in load_boards(cells.folder)])
    assert len(set(names)) == 3
    assert "img-src-x-onerror-alert-1-minilm" in names
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)
    assert len(figures(cells)) == 3 * 3 + 1


def test_a_board_without_two_complete_methods_has_no_charts(cells: Cells) -> None:
    cells.add("none", 0)
    cells.lose("adaptor", 0, "out of memory")
    assert "<svg" not in written(cells)
    assert not (cells.folder / "figures").exists()
