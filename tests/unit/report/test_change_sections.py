"""The drill-down of the page: what is shown of what methods changed, that it is safe, and that it stays small."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from bench.changes import Change, Changes, Move, Moves, Place, Snippet
from bench.errors import BadInput
from bench.record import Results
from bench.report import changes as module
from bench.report import load_boards, page, write_leaderboards
from bench.report.changes import change_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conftest import Cells

    from bench.record import Record

HOSTILE = '</th><script>alert("1")</script><img src=x onerror="alert(2)">&amp;\x1b[31m\u202e\n{{ 7*7 }}'
READS = '</th><script>alert("1")</script><img src=x onerror="alert(2)">&amp; [31m {{ 7*7 }}'


def change(query: str, before: float, after: float, *places: Place) -> Change:
    return Change(query=query, before=before, after=after, answers=max(1, len(places)), places=list(places))


def tell(cells: Cells, record: Record, gained: Sequence[Change] = (), **fields: Any) -> None:
    """Puts changes beside a cell that is there."""
    nothing: dict[str, Any] = {"lost": [], "moves": None, "queries": {}, "documents": {}}
    path = Results(cells.folder).changes(record)
    path.parent.mkdir(exist_ok=True)
    path.write_text(Changes(gained=list(gained), **(nothing | fields)).model_dump_json())


class Section(HTMLParser):
    """Collects the rows of the tables by method and caption, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)
        if tag in {"tr", "caption", "summary"}:
            self.rows.append([])
        if tag in {"th", "td", "caption", "summary"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"th", "td", "caption", "summary"} & set(self.open):
            self.rows[-1][-1] += data


def only(cells: Cells) -> Section:
    return Section("".join(text for _, text in change_parts(load_boards(cells.folder))))


def headings(section: Section) -> list[str]:
    """Methods, captions and queries, in their order."""
    return [row[0] for row in section.rows if len(row) == 1]


def test_the_largest_changes_of_all_seeds_are_shown_each_query_once(cells: Cells) -> None:
    cells.add_seeds("none", range(2))
    for record, gains in zip(
        cells.add_seeds("nudge-n", range(2), 0.1),
        ({"a": 1.0, "b": 0.8, "c": 0.3, "d": 0.2, "e": 0.1}, {"f": 1.0, "b": 0.9, "c": 0.1, "g": 0.05, "h": 0.01}),
        strict=True,
    ):
        gained = [change(query, 0.0, gain) for query, gain in gains.items()]
        lost = [change(f"not {query}", gain, 0.0) for query, gain in gains.items()]
        tell(cells, record, gained, lost=lost)
    found = headings(only(cells))
    expected = ["a 0.00 → 1.00 · seed 0", "f 0.00 → 1.00 · seed 1", "b 0.00 → 0.90 · seed 1"]
    expected += ["c 0.00 → 0.30 · seed 0", "d 0.00 → 0.20 · seed 0"]
    assert [row.replace("NDCG@10 ", "") for row in found[:7]] == ["nudge-n", "Gained most", *expected]
    assert found[7:9] == ["Lost most", "not a NDCG@10 1.00 → 0.00 · seed 0"]
    assert len(found) == 13


def test_documents_stand_with_their_ranks(cells: Cells) -> None:
    places = [
        Place(document="d1", answer=True, before=None, after=1),
        Place(document="d2", answer=False, before=1, after=17),
    ]
    documents = {"d1": Snippet(text="one thing"), "d2": Snippet(text="another")}
    record = cells.add("adaptor", 0)
    tell(cells, record, [change("q", 0.0, 1.0, *places)], documents=documents, queries={"q": Snippet(text="which?")})
    rows = only(cells).rows
    assert rows[-3:] == [
        ["which? NDCG@10 0.00 → 1.00 · seed 0 · 2 relevant documents"],
        ["✓ one thing", "—", "1"],
        ["another", "1", "17"],
    ]
    assert ["document", "before", "now"] in rows, "nothing is said of moves where none is known"


def test_moves_stand_with_their_train_queries(cells: Cells) -> None:
    def moves(documents: int, median: float, **shown: Move) -> Moves:
        return Moves(documents=documents, median=median, most=45.0, shown=shown)

    names = ["d1", "d2", "d3", "d4"]
    gained = change("q", 0.0, 1.0, *(Place(document=name, answer=False, before=1, after=2) for name in names))
    shown = {
        "d1": Move(degrees=30.0, asked=5, queries=["t1", "t2"]),
        "d2": Move(degrees=4.5, asked=1, queries=["t2"]),
        "d3": Move(degrees=9.0, asked=0, queries=[]),
    }
    queries = {"t1": Snippet(text="a train query of so many words that it must be cut"), "t2": Snippet(picture="AAAA")}
    tell(cells, cells.add("nudge-n", 0), [gained], moves=moves(1000, 12.5, **shown), queries=queries)
    tell(cells, cells.add("nudge-n", 1), moves=moves(1003, 14.0))
    section = only(cells)
    assert "Of all documents 1,000–1,003 moved, by 12.5–14° in the median and 45° at the most." in section.text
    assert [row[3] for row in section.rows[-4:]] == [
        "30°; “a train query of so many words that it…”, “t2” and 3 more",
        "4.5°; “t2”",
        "9°; no train query",
        "—",
    ]


def test_pictures_are_shown_as_what_a_cell_has_written(cells: Cells) -> None:
    places = [Place(document=name, answer=True, before=1, after=2) for name in ("drawn", "gone")]
    documents = {"drawn": Snippet(picture="UklGRg=="), "gone": Snippet()}
    tell(cells, cells.add("adaptor", 0), [change("q", 0.0, 1.0, *places)], documents=documents)
    section = only(cells)
    assert [attributes for tag, attributes in section.tags if tag == "img"] == [
        {"src": "data:image/webp;base64,UklGRg==", "alt": ""}
    ]
    assert [row[0] for row in section.rows[-2:]] == ["✓  drawn", "✓ gone"], "the picture stands in between"


def test_hostile_texts_are_shown_as_text(cells: Cells) -> None:
    place = Place(document=HOSTILE, answer=True, before=1, after=2)
    moves = Moves(documents=1, median=1.0, most=1.0, shown={HOSTILE: Move(degrees=1.0, asked=1, queries=[HOSTILE])})
    for number, texts in enumerate(({HOSTILE: Snippet(text=HOSTILE)}, {})):
        told = {"queries": texts, "documents": texts, "moves": moves}
        tell(cells, cells.add(f"{HOSTILE}{number}", 0), [change(HOSTILE, 0.0, 1.0, place)], **told)
    section = only(cells)
    assert {tag for tag, _ in section.tags} == {
        *("div", "h3", "p", "details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td", "span")
    }
    allowed = {"class", "tabindex", "role", "aria-label", "scope", "colspan"}
    assert {name for _, attributes in section.tags for name in attributes} <= allowed
    assert headings(section)[0] in {f"{READS}0", f"{READS}1"}
    assert section.rows[-1][0] == f"✓ {READS}"
    assert section.rows[-2][0].startswith(READS)
    assert "49" not in section.text
    assert "\u202e" not in section.text
    text = write_leaderboards(cells.folder, load_boards(cells.folder)).read_text()
    assert "<script>alert" not in text
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', html.unescape(text))
    assert len(policy) == 1
    assert "default-src 'none'" in policy[0]
    assert "img-src data:" in policy[0]


def test_a_long_id_is_cut(cells: Cells) -> None:
    tell(cells, cells.add("adaptor", 0), [change("q" * 10_000, 0.0, 1.0)])
    assert len(only(cells).text) < 1_500


def test_folders_without_changes_have_no_section(cells: Cells) -> None:
    cells.add_seeds("none", range(2))
    cells.add_seeds("nudge-n", range(2), 0.1)
    assert list(change_parts(load_boards(cells.folder))) == []
    assert "What changed most" not in write_leaderboards(cells.folder, load_boards(cells.folder)).read_text()


def test_a_row_that_lacks_seeds_or_files_shows_what_is_there(cells: Cells) -> None:
    cells.add_seeds("none", range(3))
    records = cells.add_seeds("nudge-n", range(2), 0.1)
    cells.lose("nudge-n", 2, "out of memory")
    tell(cells, records[1], [change("q", 0.0, 1.0)])
    assert headings(only(cells)) == ["nudge-n", "Gained most", "q NDCG@10 0.00 → 1.00 · seed 1"]


def test_a_damaged_file_is_said_so_and_leaves_the_page_as_it_was(cells: Cells) -> None:
    record = cells.add("adaptor", 0)
    tell(cells, record, [change("q", 0.0, 1.0)])
    written = write_leaderboards(cells.folder, load_boards(cells.folder))
    before = written.read_bytes()
    Results(cells.folder).changes(record).write_text("[]")
    with pytest.raises(BadInput, match="delete the file, and the page leaves it out"):
        write_leaderboards(cells.folder, load_boards(cells.folder))
    assert written.read_bytes() == before


def fill(cells: Cells, boards: Iterable[int], methods: Iterable[int], text: str = "text") -> None:
    """Boards whose methods are the better, the higher their number."""
    places = [Place(document=f"d{number}", answer=True, before=1, after=2) for number in range(5)]
    told = {"documents": {place.document: Snippet(text=text) for place in places}}
    gained = [change(f"q{number}", 0.0, 1.0, *places) for number in range(5)]
    for board in boards:
        for method in methods:
            record = cells.add(f"m{method}", 0, 0.05 * method, dataset=f"set-{board:03d}", noise=0.0)
            tell(cells, record, gained, lost=gained, **told)


def test_the_best_of_each_board_come_first_and_are_read_when_asked_for(
    cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(cells, range(3), range(4))
    boards = load_boards(cells.folder)
    read: list[Any] = []
    read_changes = module.read_changes
    monkeypatch.setattr(module, "read_changes", lambda path: read.append(path) or read_changes(path))
    parts = [(board.setting.dataset, Section(text)) for board, text in islice(change_parts(boards), 4)]
    assert [(name, headings(part)[0]) for name, part in parts] == [
        ("set-000", "m3"),
        ("set-001", "m3"),
        ("set-002", "m3"),
        ("set-000", "m2"),
    ]
    assert len(read) == 4
    assert ["What changed most" in part.text for _, part in parts] == [True, True, True, False]


def test_a_page_with_no_room_for_all_says_so_and_keeps_the_best(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(cells, range(3), range(4), text="𝔛" * 121)
    size = len(next(change_parts(load_boards(cells.folder)))[1].encode())
    whole = write_leaderboards(cells.folder, load_boards(cells.folder)).read_text()
    assert whole.count('<details class="changes">') == 12
    assert "Left out" not in whole
    monkeypatch.setattr(page, "LIMIT", len(whole.encode()) - 3 * size)
    short = write_leaderboards(cells.folder, load_boards(cells.folder)).read_text()
    assert len(short.encode()) <= len(whole.encode()) - 3 * size + 2_000
    left_out = 12 - short.count('<details class="changes">')
    assert 3 <= left_out <= 4
    assert f"Left out for the size of this page: {left_out} change lists" in short
    for section in re.findall(r'<section id="table-.*?</section>', short, re.DOTALL):
        assert section.count('<details class="changes">') in {0, 2, 3}
        shown = re.findall(r"<summary>(m\d)</summary>", section)
        assert shown == ["m3", "m2", "m1", "m0"][: len(shown)]


def test_the_order_of_writing_changes_nothing(tmp_path: Any, cells: Cells) -> None:
    fill(cells, (0, 1), (0, 1, 2))
    other = type(cells)(tmp_path / "other")
    fill(other, (1, 0), (2, 0, 1))
    parts = [[text for _, text in change_parts(load_boards(each.folder))] for each in (cells, other)]
    assert len(parts[0]) == 6
    assert parts[0] == parts[1]
