"""Boards read well in every form, and nothing in a name can break out of one."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.errors import BadInput
from bench.report import Sheet, load_boards, sheet, write_leaderboards
from bench.show import print_boards
from bench.words import duration

if TYPE_CHECKING:
    from conftest import Cells

HOSTILE = '<script>alert("1")</script>|`x`*_[a](http://x.test)&amp;\x1b[31m\u202e\nnew {{ 7*7 }} $x$'


def only(cells: Cells) -> Sheet:
    (board,) = load_boards(cells.folder)
    return sheet(board)


def fill(cells: Cells, seeds: int = 5) -> None:
    for method, level in [("none", 0.0), ("nudge-m", 0.2), ("adaptor[kind=ridge]", 0.1), ("bm25", -0.1)]:
        cells.add_seeds(method, range(seeds), level)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.0404, "40 ms"),
        (0.09996, "0.1 s"),
        (0.42, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 m 00 s"),
        (125, "2 m 05 s"),
        (3599.7, "1 h 00 m"),
        (3 * 3600 + 59.9 * 60, "4 h 00 m"),
        (100 * 3600, "100 h 00 m"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sheet_words_a_winner(cells: Cells) -> None:
    fill(cells)
    page = only(cells)
    assert page.title == "icon-names · minilm · random split · cpu, 2 threads · seeds 0–4"
    assert page.facts.startswith(
        "1,903 documents · 1,050 train, 150 dev, 100 test queries · fingerprint 0123456789ab ·"
    )
    assert page.verdict == "Winner: nudge-m, significantly above the runner-up, adaptor[kind=ridge]."
    assert [line.bold for line in page.main.lines] == [True, False, False, False]
    best, _, baseline, worst = (line.cells for line in page.main.lines)
    assert re.fullmatch(r"0\.\d{3} ± 0\.\d{3}", best[1])
    assert re.fullmatch(r"▲ \+0\.\d{3} ± 0\.\d{3} \(\+\d+ %\)", best[2])
    assert re.fullmatch(r"▼ −0\.\d{3} ± 0\.\d{3} \(−\d+ %\)", worst[2])
    assert baseline[2] == "baseline"
    assert best[-1] == "3.5 s"
    assert "6 pairs, in each of 2 tests" in page.legend
    assert page.nearest
    assert re.fullmatch(r"unseen \(n = \d+\)", page.nearest.header[1])


def test_sheet_words_a_tie_a_single_seed_and_a_limit(cells: Cells) -> None:
    for method in ("nudge-m", "nudge-n", "none"):
        cells.add(method, 3, 0.1, limit=1000)
    page = only(cells)
    assert page.title.endswith("random split · limit 1,000 · cpu, 2 threads · seed 3")
    assert page.verdict == "No single winner: none leads, but nudge-m and nudge-n are not significantly below it."
    assert page.main.lines[1].cells[0] == "nudge-m ≈"
    assert re.fullmatch(r"0\.\d{3}", page.main.lines[0].cells[1])
    assert "3 pairs, in 1 test:" in page.legend


def test_sheet_words_gaps(cells: Cells) -> None:
    cells.add_seeds("none", range(3))
    cells.add("adaptor", 0)
    cells.lose("adaptor", 1, "out of\nmemory")
    page = only(cells)
    assert page.verdict == "Nothing to compare: fewer than two methods are complete."
    assert page.main.lines[1].cells == ("adaptor", "— (1 of 3 seeds)", "—", "—", "—", "—", "—")
    assert page.notes == ("adaptor: failed on seed 1: out of memory",)


def test_sheet_of_nothing_but_failures(cells: Cells) -> None:
    cells.lose("adaptor", 0, "no such data set", fingerprint=None)
    page = only(cells)
    assert page.nearest is None
    assert page.main.lines[0].cells[1] == "— (0 of 1 seed)"


def test_every_line_is_as_long_as_its_header(cells: Cells) -> None:
    fill(cells, seeds=2)
    cells.add(HOSTILE, 0, 0.3)
    page = only(cells)
    assert page.nearest
    for table in (page.main, page.nearest):
        assert {len(line.cells) for line in table.lines} == {len(table.header)}
    assert all(cell.isprintable() for line in page.main.lines for cell in line.cells)


def test_markdown_tables_survive_hostile_names(cells: Cells) -> None:
    cells.add(HOSTILE, 0, 0.3, dataset=HOSTILE)
    cells.add("none", 0, dataset=HOSTILE)
    write_leaderboards(cells.folder, load_boards(cells.folder))
    text = (cells.folder / "leaderboard.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    bars = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert bars == [8] * 4 + [bars[4]] * 4
    assert not re.search(r"(?<!\\)[<`]", text)
    assert "**\\<script" in text  # it won, so it is bold


class Page(HTMLParser):
    """Collects what the tests ask of a page, and checks that its tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_self_contained_accessible_and_escaped(cells: Cells) -> None:
    fill(cells, seeds=2)
    cells.add(HOSTILE, 0, 0.3)
    cells.lose(HOSTILE, 1, HOSTILE)
    cells.add("none", 0, dataset=HOSTILE)
    text = write_leaderboards(cells.folder, load_boards(cells.folder)).read_text()
    page = Page(text)
    names = [tag for tag, _ in page.tags]
    assert not {"link", "img", "iframe", "object", "base", "form"} & set(names)
    assert names.count("script") == names.count("style") == 1
    assert not re.search(r"url\(|@import| style=| on\w+=\"", text)
    references = [value for _, attributes in page.tags for name, value in attributes.items() if name in {"href", "src"}]
    assert references == ["#table-1", "#table-2"]
    assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in page.tags if tag == "th")
    assert names.count("caption") == names.count("table") == 4
    assert all(attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg")
    assert '<script>alert("1")</script>|`x`*_[a](http://x.test)&amp; [31m new {{ 7*7 }} $x$' in page.text
    assert "winner" in {attributes.get("class") for tag, attributes in page.tags if tag == "tr"}


def test_every_form_lists_failed_and_skipped_cells_with_their_reasons(
    cells: Cells, capsys: pytest.CaptureFixture[str]
) -> None:
    cells.add_seeds("none", range(3))
    cells.add("adaptor", 0, 0.1)
    for seed in (1, 2):
        cells.lose("adaptor", seed, "out of memory")
    cells.lose("bm25", 0, "bm25s is not installed", status="skipped")
    print_boards(cells.folder, as_json=False)
    page = Page((cells.folder / "leaderboard.html").read_text()).text
    for text in (capsys.readouterr().out, (cells.folder / "leaderboard.md").read_text(), page):
        assert "adaptor: failed on seeds 1, 2: out of memory" in text
        assert "bm25: skipped on seed 0: bm25s is not installed" in text
        assert "— (1 of 3 seeds)" in text


def test_csv_keeps_full_precision(cells: Cells) -> None:
    fill(cells)
    cells.lose("corrector", 0, "out of memory")
    write_leaderboards(cells.folder, load_boards(cells.folder))
    lines = list(csv.DictReader(io.StringIO((cells.folder / "leaderboard.csv").read_text())))
    (board,) = load_boards(cells.folder)
    best, *_, gap = lines
    row = board.rows[0]
    assert row.figures
    assert row.against
    assert (best["dataset"], best["limit"], best["threads"], best["seeds"]) == ("icon-names", "", "2", "0 1 2 3 4")
    assert (best["mark"], best["significant"]) == ("winner", "1")
    assert float(best["ndcg@10"]) == row.figures.means["ndcg@10"]
    assert float(best["ndcg@10_half_width"]) == row.figures.half_width
    assert float(best["ndcg@10_query_half_width"]) == row.figures.query_half_width
    assert float(best["gain"]) == row.against.gain
    assert float(best["gain_half_width"]) == row.against.half_width
    assert float(best["gain_query_half_width"]) == row.against.query_half_width
    assert (float(best["p_resampled_t"]), float(best["p_resampled_t_holm"])) == row.against.p["resampled_t"]
    assert int(best[">.9_queries"]) == row.figures.subsets[">.9"].queries
    assert (gap["method"], gap["seeds_done"], gap["ndcg@10"], gap["p_permutation"]) == ("corrector", "0", "", "")


def test_same_records_same_bytes_whatever_the_order_of_writing(tmp_path: Path, cells: Cells) -> None:
    fill(cells, seeds=3)
    write_leaderboards(cells.folder, load_boards(cells.folder))
    other = type(cells)(tmp_path / "other")
    for method, level in [("bm25", -0.1), ("adaptor[kind=ridge]", 0.1), ("none", 0.0), ("nudge-m", 0.2)]:
        other.add_seeds(method, (2, 0, 1), level)
    write_leaderboards(other.folder, load_boards(other.folder))
    names = {path.relative_to(cells.folder) for path in (*cells.folder.glob("*.*"), *cells.folder.glob("figures/*"))}
    assert {path.suffix for path in names} == {".md", ".csv", ".html", ".tex", ".json", ".svg"}
    for name in names:
        assert (cells.folder / name).read_bytes() == (other.folder / name).read_bytes()


def test_a_write_that_fails_leaves_the_old_page(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    cells.add("none", 0)
    page = write_leaderboards(cells.folder, load_boards(cells.folder))
    before = page.read_bytes()
    cells.add("adaptor", 0, 0.1)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BadInput, match=r"cannot be written \(No space left on device\)"):
        write_leaderboards(cells.folder, load_boards(cells.folder))
    assert page.read_bytes() == before
    files = {path.name for path in cells.folder.iterdir() if path.is_file()}
    assert files == {f"leaderboard.{form}" for form in ("md", "csv", "html", "tex", "json")}
