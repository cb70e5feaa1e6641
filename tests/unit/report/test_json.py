"""The JSON holds what the boards hold, at full precision, and gaps as null."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.report import load_boards, write_leaderboards
from bench.report.overall import overall

if TYPE_CHECKING:
    from conftest import Cells


def test_boards_and_overall_are_read_back(cells: Cells) -> None:
    for dataset in ("icon-names", "apidocs"):
        for method, level in [("none", 0.0), ("nudge-m", 0.2), ("adaptor", 0.1)]:
            cells.add_seeds(method, range(5), level, dataset=dataset)
    cells.lose("bm25", 0, "out of memory", dataset="apidocs")
    boards = load_boards(cells.folder)
    write_leaderboards(cells.folder, boards)
    read = json.loads((cells.folder / "leaderboard.json").read_text())
    assert read["schema"] == 1
    for written, board in zip(read["boards"], boards, strict=True):
        assert written["setting"]["dataset"] == board.setting.dataset
        assert board.comparison
        for name, p in board.comparison.tests.items():
            assert written["comparison"]["tests"][name] == {"raw": p.raw.tolist(), "holm": p.holm.tolist()}
        assert written["comparison"]["better"] == board.comparison.better.tolist()
        for line, row in zip(written["rows"], board.rows, strict=True):
            assert (line["method"], line["figures"] is None) == (row.method, row.figures is None)
            if row.figures:
                assert line["figures"]["means"] == row.figures.means
                assert line["figures"]["half_width"] == row.figures.half_width
    best, *_, gap = read["boards"][0]["rows"]
    assert (best["method"], best["efficient"]) == ("nudge-m", True)
    assert (gap["method"], gap["figures"], gap["against"], gap["efficient"]) == ("bm25", None, None, None)
    assert read["boards"][0]["remarks"][0]["text"] == "out of memory"
    (found,) = overall(boards)
    assert read["overall"][0]["datasets"] == ["apidocs", "icon-names"]
    assert found.standings[0].averages
    assert read["overall"][0]["standings"][0]["averages"]["gain"] == found.standings[0].averages.gain


def test_methods_on_the_frontier_are_told(cells: Cells) -> None:
    for method, level in [("none", 0.0), ("nudge-m", 0.2), ("adaptor", 0.1)]:
        cells.add(method, 0, level)
    write_leaderboards(cells.folder, load_boards(cells.folder))
    (board,) = json.loads((cells.folder / "leaderboard.json").read_text())["boards"]
    assert {row["method"]: row["efficient"] for row in board["rows"]} == {
        "nudge-m": True,
        "adaptor": False,
        "none": False,
    }
