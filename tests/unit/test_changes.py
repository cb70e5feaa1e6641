"""What a method changed: what is chosen to be shown, what is kept of it, and that it says what happened."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.changes import Change, Changes, Place, Snippet, read_changes
from bench.cli import main
from bench.data.dataset import Dataset
from bench.data.folder import read_folder
from bench.data.split import Split
from bench.embed.encoders import open_encoder
from bench.errors import BadInput
from bench.record import Record, Results
from bench.run.changes import Answered, find_changes, snippet
from methods import Corpus, Csr, Moved, Picture, Ranking, VectorTuned

N = 30


def dataset(answers: Sequence[Sequence[int]], documents: Sequence[Any] = ()) -> Dataset:
    """A document d<row> for each of `N`, a query q<row> for each list of answers."""
    return Dataset(
        name="toy",
        fingerprint="0",
        document_ids=[f"d{row}" for row in range(N)],
        documents=documents or [f"document {row}" for row in range(N)],
        query_ids=[f"q{row}" for row in range(len(answers))],
        queries=[f"query {row}" for row in range(len(answers))],
        qrels=Csr.from_rows(answers),
        exclude=Csr.from_rows([[]] * len(answers)),
        groups=np.arange(len(answers)),
        official={},
    )


def split(train: Sequence[int], test: Sequence[int]) -> Split:
    return Split(np.array(train, np.int64), np.array([], np.int64), np.array(test, np.int64))


def answered(rankings: Sequence[Sequence[int]], ndcg: Sequence[float]) -> Answered:
    rows = torch.full((len(rankings), 10), -1)
    for query, ranking in enumerate(rankings):
        rows[query, : len(ranking)] = torch.tensor(ranking)
    return Answered(Ranking(rows, torch.zeros(rows.shape)), np.array(ndcg))


def untouched() -> VectorTuned:
    return VectorTuned(Corpus.from_vectors(np.eye(N, dtype=np.float32)))


def found(gains: Sequence[float]) -> Changes | None:
    """The changes where each query has gained so much."""
    data = dataset([[row % N] for row in range(len(gains))])
    rankings = [[row % N] for row in range(len(gains))]
    before = answered(rankings, [0.5] * len(gains))
    after = answered(rankings, [0.5 + gain for gain in gains])
    return find_changes(data, split([], range(len(gains))), before, after, untouched())


@given(gains=st.lists(st.sampled_from([-0.5, -0.25, 0.0, 0.25, 0.375]), min_size=1, max_size=40))
def test_the_queries_that_changed_most_are_shown(gains: list[float]) -> None:
    changes = found(gains)
    if not any(gains):
        assert changes is None
        return
    assert changes is not None
    for shown, sign in ((changes.gained, 1), (changes.lost, -1)):
        signed = [sign * (change.after - change.before) for change in shown]
        assert signed == sorted((sign * gain for gain in gains if sign * gain > 0), reverse=True)[:5]
        assert [sign * gains[int(change.query[1:])] for change in shown] == signed


def test_equal_changes_favour_no_place_in_the_file() -> None:
    gains = [0.5] * 40
    changes = found(gains)
    assert changes is not None
    chosen = {change.query for change in changes.gained}
    assert chosen != {f"q{row}" for row in range(5)}
    order = np.random.default_rng(0).permutation(40)
    data = dataset([[row % N] for row in range(40)])
    rankings = [[int(row) % N] for row in order]
    before, after = answered(rankings, [0.5] * 40), answered(rankings, [1.0] * 40)
    shuffled = find_changes(data, split([], [int(row) for row in order]), before, after, untouched())
    assert shuffled == changes


def one_change(answers: Sequence[int], before: Sequence[int], after: Sequence[int]) -> Change:
    changes = find_changes(
        dataset([answers]), split([], [0]), answered([before], [0.0]), answered([after], [1.0]), untouched()
    )
    assert changes is not None
    (change,) = changes.gained
    assert set(changes.documents) == {place.document for place in change.places}
    assert set(changes.queries) == {"q0"}
    return change


def test_ranks_before_and_after_are_shown_and_what_came_first() -> None:
    change = one_change([4, 7], before=[1, 4, 2], after=[7, 3, 1])
    assert change.places == [
        Place(document="d7", answer=True, before=None, after=1),
        Place(document="d1", answer=False, before=1, after=3),
        Place(document="d4", answer=True, before=2, after=None),
    ]
    assert change.answers == 2


def test_of_many_answers_the_best_are_shown() -> None:
    change = one_change(list(range(20)), before=[25, 19, 18, 17, 16], after=[25, 3, 19])
    assert [place.document for place in change.places] == ["d25", "d3", "d19", "d18"]
    assert change.answers == 20


def test_a_method_that_finds_nothing_is_shown_too() -> None:
    data, nothing = dataset([[3]]), answered([[]], [0.0])
    changes = find_changes(data, split([], [0]), answered([[3]], [1.0]), nothing, untouched())
    assert changes is not None
    assert changes.lost[0].places == [Place(document="d3", answer=True, before=1, after=None)]


def turned(degrees: Mapping[int, float], *, length: float = 1.0, lengthened: bool = False) -> VectorTuned:
    """Document vectors of unit length in a plane, some of them turned in it, scaled, or with one more coordinate."""
    angles = np.linspace(0, 1, N)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    rows = sorted(degrees)
    there = angles[rows] + np.deg2rad([degrees[row] for row in rows])
    places = length * np.stack([np.cos(there), np.sin(there)], axis=1).astype(np.float32)
    places[[degrees[row] == 0 for row in rows]] = length * vectors[[row for row in rows if degrees[row] == 0]]
    if lengthened:
        places = np.pad(places, ((0, 0), (0, 1)), constant_values=-0.3)
    return VectorTuned(Corpus.from_vectors(vectors), Moved(torch.tensor(rows), torch.from_numpy(places)))


@pytest.mark.parametrize("length", [1.0, 3.0])
@pytest.mark.parametrize("lengthened", [True, False])
@pytest.mark.parametrize("replaced", [None, 2.0])
def test_a_move_is_the_angle_between_the_vectors(length: float, lengthened: bool, replaced: float | None) -> None:
    data = dataset([[4], [4, 5], [4], [4], [9], [4]])
    tuned = turned({4: 30.0, 5: 0.0, 9: 90.0, 20: 180.0}, length=length, lengthened=lengthened)
    if replaced:  # as a link before has left all documents
        tuned = replace(tuned, vectors=replaced * tuned.base.shards[0])
    before, after = answered([[5]], [0.0]), answered([[4, 5]], [1.0])
    changes = find_changes(data, split([0, 1, 2, 3, 4], [5]), before, after, tuned)
    assert changes is not None
    assert changes.moves is not None
    assert (changes.moves.documents, changes.moves.median, changes.moves.most) == (3, 90.0, 180.0)
    assert set(changes.moves.shown) == {"d4"}, "d5 did not turn, and the others stand nowhere"
    move = changes.moves.shown["d4"]
    assert (move.degrees, move.asked, move.queries) == (30.0, 4, ["q0", "q1", "q2"])
    assert changes.queries == {f"q{row}": Snippet(text=f"query {row}") for row in (0, 1, 2, 5)}


def test_documents_that_were_only_scaled_or_lowered_have_not_moved() -> None:
    tuned = turned(dict.fromkeys(range(N), 0.0), lengthened=True)
    changes = find_changes(dataset([[4]]), split([], [0]), answered([[5]], [0.0]), answered([[4]], [1.0]), tuned)
    assert changes is not None
    assert changes.moves is None


def test_a_text_is_cut() -> None:
    assert snippet("two\n words ") == Snippet(text="two words")
    assert snippet("a" * 120) == Snippet(text="a" * 120)
    assert snippet("a" * 121) == Snippet(text="a" * 120 + "…")


def picture(path: Path, image: Image.Image, **options: Any) -> Picture:
    image.save(path, **options)
    return Picture(path, path.name)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_picture_of_any_mode_becomes_a_small_one(tmp_path: Path, mode: str) -> None:
    kept = snippet(picture(tmp_path / "picture.tiff", Image.new(mode, (300, 60))))
    if kept.picture is None:
        assert mode == "I;16"
        return
    image = Image.open(io.BytesIO(base64.b64decode(kept.picture, validate=True)))
    assert (image.format, image.mode) == ("WEBP", "RGB")
    assert image.size[0] == 32
    assert image.size[1] <= 8


def test_what_shows_through_is_white(tmp_path: Path) -> None:
    kept = snippet(picture(tmp_path / "picture.png", Image.new("RGBA", (50, 50))))
    assert kept.picture is not None
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(kept.picture)))).min() > 250


def test_nothing_of_a_picture_but_its_pixels_is_kept(tmp_path: Path) -> None:
    notes = Image.Exif()
    notes[0x010E] = "taken at home"
    kept = snippet(picture(tmp_path / "picture.jpg", Image.new("RGB", (50, 50)), exif=notes, comment=b"at home"))
    assert kept.picture is not None
    assert b"home" not in base64.b64decode(kept.picture)
    assert len(kept.picture) < 2_000


def test_a_photograph_of_noise_stays_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(256, size=(900, 900, 3), dtype=np.uint8)
    kept = snippet(picture(tmp_path / "picture.png", Image.fromarray(noise)))
    assert kept.picture is not None
    assert len(kept.picture) < 2_000


def test_a_picture_that_is_gone_is_left_out(tmp_path: Path) -> None:
    assert snippet(Picture(tmp_path / "gone.png", "0")) == Snippet()


def run(data: Path, encoder: Path, out: Path, methods: str, *options: str) -> None:
    arguments = ["run", "--data", str(data), "--encoder", f"st:{encoder}", "--methods", methods, "--out", str(out)]
    result = CliRunner().invoke(main, [*arguments, *(options or ("--seeds", "0"))])
    assert result.exit_code == 0, (result.exception, result.stderr)


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "changes").iterdir()}


@pytest.mark.usefixtures("cache")
def test_the_order_of_the_cells_changes_nothing(toy_folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    run(toy_folder, tiny_model, tmp_path / "together", "none,nudge-n,bm25")
    run(toy_folder, tiny_model, tmp_path / "apart", "bm25")
    run(toy_folder, tiny_model, tmp_path / "apart", "nudge-n")
    assert files(tmp_path / "together") == files(tmp_path / "apart")
    assert len(files(tmp_path / "apart")) == 2, "none changes nothing"


@pytest.mark.usefixtures("cache")
def test_a_cell_without_changes_is_done(toy_folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    run(toy_folder, tiny_model, tmp_path, "nudge-n")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "records").iterdir()}
    for path in (tmp_path / "changes").iterdir():
        path.unlink()
    run(toy_folder, tiny_model, tmp_path, "nudge-n")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "records").iterdir()} == before
    assert files(tmp_path) == {}


def ranks(documents: torch.Tensor, query: torch.Tensor, ids: Sequence[str]) -> dict[str, int]:
    """The rank of each document by brute force."""
    order = (documents.double() @ query.double()).argsort(descending=True).tolist()
    return {ids[row]: rank for rank, row in enumerate(order, 1)}


@pytest.mark.usefixtures("cache", "float32")
def test_what_is_written_is_what_happened(toy_folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    gamma = 0.7
    run(toy_folder, tiny_model, tmp_path, f"nudge-m[gamma={gamma}]")
    (record,) = Results(tmp_path).records()
    changes = read_changes(Results(tmp_path).changes(record))
    assert changes is not None
    data, encoder = read_folder(toy_folder), open_encoder(f"st:{tiny_model}")
    queries = encoder.encode(list(data.queries), "query")
    documents = torch.nn.functional.normalize(encoder.encode(list(data.documents), "document"), dim=1)
    judged: dict[str, set[str]] = {}
    for line in (toy_folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, _ = line.split("\t")
        judged.setdefault(query, set()).add(document)
    train = train_queries(record, data)
    moved, degrees = documents.clone(), {}
    for row, document in enumerate(data.document_ids):
        own = [queries[data.query_ids.index(query)] for query in train if document in judged[query]]
        if own:
            moved[row] += gamma * torch.nn.functional.normalize(torch.stack(own).sum(0), dim=0)
            cosine = torch.nn.functional.cosine_similarity(moved[row].double(), documents[row].double(), dim=0)
            degrees[document] = float(cosine.acos().rad2deg())
    assert changes.gained
    for change in (*changes.gained, *changes.lost):
        query = queries[data.query_ids.index(change.query)]
        then, now = (ranks(where, query, data.document_ids) for where in (documents, moved))
        assert {place.document for place in change.places if place.answer} == judged[change.query]
        for place in change.places:
            assert (place.before, place.after) == (then[place.document], now[place.document])
        assert 1 in {place.before for place in change.places}
        assert change.places[0].after == 1
        assert changes.queries[change.query].text == data.queries[data.query_ids.index(change.query)]
    assert changes.moves is not None
    assert changes.moves.documents == len(degrees)
    assert changes.moves.most == pytest.approx(max(degrees.values()), abs=0.1)
    shown = {place.document for change in (*changes.gained, *changes.lost) for place in change.places}
    assert set(changes.moves.shown) == shown & set(degrees)
    for document, move in changes.moves.shown.items():
        assert move.degrees == pytest.approx(degrees[document], abs=0.1)
        assert move.asked == sum(document in judged[query] for query in train)
        assert all(document in judged[query] and query in train for query in move.queries)
        assert set(move.queries) <= set(changes.queries)
    check_page(tmp_path / "leaderboard.html", changes)


def check_page(page: Path, changes: Changes) -> None:
    """Compares what the page shows, row by row, with what is known to have happened."""
    shown = re.findall(r'<tr><th scope="row(?:group)?".*?</tr>', page.read_text().partition('class="changes"')[2])
    rows = [[html.unescape(re.sub("<[^>]*>", "", cell)) for cell in re.split("</t[hd]>", row)[:-1]] for row in shown]
    expected = []
    for change in (*changes.gained, *changes.lost):
        expected.append((changes.queries[change.query].text, f"{change.before:.2f} → {change.after:.2f}", ""))
        for place in change.places:
            document = f"{'✓ ' * place.answer}{changes.documents[place.document].text}"
            move = changes.moves.shown.get(place.document) if changes.moves else None
            ranks = " ".join("—" if rank is None else str(rank) for rank in (place.before, place.after))
            expected.append((document, ranks, f"{move.degrees:g}°" if move else "—"))
    assert len(rows) == len(expected)
    for row, (start, middle, end) in zip(rows, expected, strict=True):
        assert row[0].startswith(start)
        assert middle in " ".join([*row[0].split("NDCG@10")[1:], *row[1:3]])
        assert "".join(row[3:]).startswith(end)


@pytest.mark.usefixtures("cache")
def test_pictures_reach_the_page(tiny_clip: Path, tmp_path: Path, write_beir: Any) -> None:
    data = tmp_path / "data"
    colours = {f"c{number}": (number * 8, 255 - number * 8, 90) for number in range(30)}
    queries = {f"q{number}": {"text": f"colour {number}"} for number in range(30)}
    judged = [(f"q{number}", f"c{number % 5 * 6}", 1) for number in range(30)]
    write_beir(data, {key: {"image": f"{key}.png"} for key in colours}, queries, {"test": judged})
    for key, colour in colours.items():
        Image.new("RGB", (64, 64), colour).save(data / f"{key}.png")
    run(data, tiny_clip, tmp_path / "out", "none,nudge-n[gamma=1]")
    rows = re.findall(r"base64,([^\"]*)\" alt=\"\"> (c\d+)</th>", (tmp_path / "out" / "leaderboard.html").read_text())
    assert rows
    for written, key in rows:
        colour = np.asarray(Image.open(io.BytesIO(base64.b64decode(written)))).mean((0, 1))
        assert np.abs(colour - colours[key]).max() < 4, "the page shows the picture of this document"
    assert len({key for _, key in rows}) > 1


def train_queries(record: Record, data: Dataset) -> set[str]:
    """The train queries of a random split, dealt anew."""
    shuffled = np.random.default_rng(record.seed).permutation(len(data.query_ids))
    place = np.argsort(shuffled)
    return {data.query_ids[row] for row in place[len(place) // 10 + len(place) // 5 :]}


def some(**fields: Any) -> Changes:
    change = Change(query="q", before=0.0, after=1.0, answers=1, places=[])
    return Changes(**({"gained": [change], "lost": [], "moves": None, "queries": {}, "documents": {}} | fields))


def test_what_is_written_is_read_and_goes_with_its_record(tmp_path: Path, write_cell: Any) -> None:
    record, results = write_cell(tmp_path), Results(tmp_path)
    assert read_changes(results.changes(record)) is None
    changes = some(documents={"d": Snippet(picture="abc="), "größe\n": Snippet(text='<"\x1b')})
    results.write(record, None, changes)
    assert read_changes(results.changes(record)) == changes
    results.write(record, None)
    assert read_changes(results.changes(record)) is None


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"documents": {"d": {"picture": "javascript:alert(1)"}}}, "documents.d.picture: String should match"),
        ({"documents": {"d": {"picture": "AAAA\n"}}}, "documents.d.picture: String should match"),
        ({"gained": None}, "gained: Input should be a valid array"),
        ({"other": 1}, "other: Extra inputs"),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path, changed: dict[str, Any], what: str) -> None:
    path = tmp_path / "changes.json"
    path.write_text(json.dumps(some().model_dump() | changed))
    with pytest.raises(BadInput) as error:
        read_changes(path)
    assert str(error.value).startswith(f"{path}: {what}")
    assert str(error.value).endswith("; delete the file, and the page leaves it out")
    path.write_text("{")
    with pytest.raises(BadInput, match="the file: "):
        read_changes(path)
