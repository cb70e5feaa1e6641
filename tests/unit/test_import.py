"""`tunebench import`: what people have, as BEIR folders that can be read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from bench.cli import main
from bench.data.dataset import Dataset
from bench.data.folder import read_folder
from bench.data.grades import of_clicks, of_ratings
from bench.data.imported import COMPARED, import_folder
from bench.data.judgements import Source

Rows = Sequence[dict[str, Any]]
SUBJECTS = ("boats", "birds", "trees", "stars", "roads", "songs", "cakes", "clocks", "rivers", "lamps", "coats", "maps")
LOG = [{"query": f"about {subject}", "document_id": f"D-{n}", "clicks": 9} for n, subject in enumerate(SUBJECTS)]
DOCUMENTS = [{"id": f"D-{n}", "title": subject, "text": f"a text on {subject}"} for n, subject in enumerate(SUBJECTS)]
PAIRS = [{"anchor": f"about {subject}", "positive": f"a text on {subject}"} for subject in SUBJECTS]


def write(path: Path, rows: Rows) -> Path:
    """In the form that the name says."""
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix in {".csv", ".tsv"}:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    else:
        from datasets import Dataset as Table

        Table.from_list(list(rows)).save_to_disk(path)
    return path


def judged(dataset: Dataset) -> dict[str, dict[str, int]]:
    """The text of a query to the ids of its documents with their grades."""
    offsets = dataset.qrels.offsets.tolist()
    pairs = list(zip(dataset.qrels.columns.tolist(), dataset.qrels.values.tolist(), strict=True))
    return {
        str(query): {dataset.document_ids[row]: int(grade) for row, grade in pairs[start:end]}
        for query, start, end in zip(dataset.queries, offsets[:-1], offsets[1:], strict=True)
    }


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Any]:
    """Imports rows, and returns what is then read from the folder, and the report as JSON."""

    def imported(rows: Rows, documents: Rows | None = None, *options: str, kind: str = ".csv", code: int = 0) -> Any:
        out = tmp_path / "out"
        arguments = ["import", str(write(tmp_path / f"log{kind}", rows)), "--out", str(out), "--json", *options]
        if documents is not None:
            arguments += ["--documents", str(write(tmp_path / f"documents{kind or '.csv'}", documents))]
        result: Result = CliRunner().invoke(main, arguments)
        assert result.exit_code == code, (result.exception, result.output)
        if code:
            assert not out.exists()
            assert result.stderr.count("\n") == 1
            return result.stderr
        return read_folder(out), json.loads(result.stdout)

    return imported


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".jsonl", ".parquet", ""])
def test_a_log_of_clicks_becomes_judgements(imported: Callable[..., Any], kind: str) -> None:
    dataset, report = imported(LOG, DOCUMENTS, kind=kind)
    assert judged(dataset) == {f"about {subject}": {f"D-{n}": 3} for n, subject in enumerate(SUBJECTS)}
    assert list(dataset.documents) == [f"{subject} a text on {subject}" for subject in SUBJECTS]
    assert report["counts"] == {"documents": 12, "queries": 12, "judgements": 12}
    assert report["dropped"] == []


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet", ""])
def test_pairs_of_texts_become_judgements(imported: Callable[..., Any], kind: str) -> None:
    rows = [*PAIRS, {"anchor": "about boats", "positive": PAIRS[1]["positive"]}, PAIRS[0]]
    dataset, report = imported(rows, kind=kind)
    assert len(dataset.documents) == 12, "a text that stands twice is one document"
    assert judged(dataset)["about boats"] == {"d1": 3, "d2": 3}
    assert report["counts"]["judgements"] == 13


def test_labelled_pairs_count_where_their_label_says_so(imported: Callable[..., Any]) -> None:
    rows = [{"sentence1": r["anchor"], "sentence2": r["positive"], "label": 1} for r in PAIRS]
    rows.append({"sentence1": "about boats", "sentence2": "a text on birds", "label": 0})
    dataset, report = imported(rows)
    assert judged(dataset)["about boats"] == {"d1": 1}
    assert [(each["why"], each["times"]) for each in report["dropped"]] == [("not relevant", 1)]


def test_ratings_become_grades(imported: Callable[..., Any]) -> None:
    rows = [{"query": r["query"], "document_id": r["document_id"], "rating": "4"} for r in LOG]
    rows += [{"query": "about boats", "document_id": "D-1", "rating": rating} for rating in ("5", "2", "")]
    dataset, report = imported(rows, DOCUMENTS, "--relevant-from", "3")
    assert judged(dataset)["about boats"] == {"D-0": 2, "D-1": 1}, "the mean of 5 and 2 is half a point above 3"
    assert {each["why"]: each["first"] for each in report["dropped"]} == {"no rating or number of clicks": "line 16"}


def test_columns_can_be_named(imported: Callable[..., Any]) -> None:
    rows = [{"what": r["query"], "sku": r["document_id"], "n": 1} for r in LOG]
    dataset, _ = imported(rows, DOCUMENTS, "--columns", "query=what, document=sku,clicks=n")
    assert len(dataset.queries) == 12


def test_ids_match_whatever_form_a_table_gives_them(tmp_path: Path) -> None:
    log = [{"query": r["query"], "document_id": float(n)} for n, r in enumerate(LOG)]  # as pandas has ids with gaps
    documents = [{"id": n, "text": r["text"]} for n, r in enumerate(DOCUMENTS)]
    source = Source(write(tmp_path / "log.parquet", log), write(tmp_path / "documents.csv", documents))
    import_folder(source, tmp_path / "out")
    assert len(read_folder(tmp_path / "out").queries) == 12


def test_query_ids_tell_queries_apart(imported: Callable[..., Any]) -> None:
    rows = [{"query_id": n, "query": "the same" if n < 2 else r["query"], **r} for n, r in enumerate(LOG)]
    rows = [{**row, "query": "the same"} if n < 2 else row for n, row in enumerate(rows)]
    dataset, _ = imported(rows, DOCUMENTS)
    assert len(dataset.queries) == 12
    assert dataset.query_ids[0] == "query-0"
    assert dataset.groups[0] == dataset.groups[1], "but they are near-copies"


def test_what_is_dropped_is_listed_with_the_first_place(imported: Callable[..., Any]) -> None:
    rows = [
        *LOG,
        {"query": " ", "document_id": "D-1", "clicks": 1},
        {"query": "about boats", "document_id": "", "clicks": 1},
        {"query": "about boats", "document_id": "D-99", "clicks": 1},
        {"query": "about birds", "document_id": "D-98", "clicks": 1},
        {"query": "about nothing", "document_id": "D-3", "clicks": 0},
    ]
    documents = [*DOCUMENTS, DOCUMENTS[0], {"id": "D-50", "title": "", "text": " "}]
    dataset, report = imported(rows, documents)
    assert len(dataset.queries) == 12
    told = {each["why"]: (each["times"], each["first"]) for each in report["dropped"]}
    assert told == {
        "no query": (1, "line 14"),
        "no document": (1, "line 15"),
        "unknown document": (2, "line 16, 'D-99'"),
        "not relevant": (1, "'D-3' for 'about nothing'"),
        "query without a relevant document": (1, "'about nothing'"),
        "repeated document": (1, "line 14"),
        "document without id or text": (1, "line 15"),
    }


def test_near_copies_are_found_and_share_a_group(imported: Callable[..., Any], tmp_path: Path) -> None:
    rows = [*LOG, {"query": "About, boats!", "document_id": "D-1", "clicks": 2}]
    documents = [*DOCUMENTS, {"id": "D-77", "title": "maps", "text": "A text (on MAPS)"}]
    dataset, report = imported(rows, documents)
    assert report["queries"] == {"query-13": "query-1"}
    assert report["documents"] == {"D-77": "D-11"}
    assert dataset.groups[12] == dataset.groups[0]
    assert len(set(dataset.groups.tolist())) == 12
    assert (tmp_path / "out" / "near-copies.tsv").read_text().splitlines() == [
        "kind\tid\tfirst",
        "document\tD-77\tD-11",
        "query\tquery-13\tquery-1",
    ]


def test_many_texts_are_compared_word_by_word(imported: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.data.imported.COMPARED", 5)
    assert COMPARED > 5
    _, report = imported([*LOG, {"query": "About, boats!", "document_id": "D-1", "clicks": 2}], DOCUMENTS)
    assert report["queries"] == {"query-13": "query-1"}


def test_a_split_of_hugging_face_is_kept(tmp_path: Path) -> None:
    from datasets import Dataset as Table
    from datasets import DatasetDict

    parts = {"train": PAIRS[:8], "validation": PAIRS[8:10], "test": PAIRS[10:]}
    DatasetDict({name: Table.from_list(rows) for name, rows in parts.items()}).save_to_disk(tmp_path / "saved")
    import_folder(Source(tmp_path / "saved"), tmp_path / "out")
    dataset = read_folder(tmp_path / "out")
    assert {name: len(rows) for name, rows in dataset.official.items()} == {"train": 8, "dev": 2, "test": 2}
    parts["test"] = [*parts["test"], PAIRS[0]]
    DatasetDict({name: Table.from_list(rows) for name, rows in parts.items()}).save_to_disk(tmp_path / "leaking")
    import_folder(Source(tmp_path / "leaking"), tmp_path / "random")
    assert read_folder(tmp_path / "random").official == {}, "a query on two sides is no split"


def test_a_folder_of_data_files_is_read_as_the_hub_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    (tmp_path / "snapshot").mkdir()
    write(tmp_path / "snapshot" / "train.parquet", PAIRS[:9])
    write(tmp_path / "snapshot" / "test.parquet", PAIRS[9:])
    import_folder(Source(tmp_path / "snapshot"), tmp_path / "out")
    assert {name: len(rows) for name, rows in read_folder(tmp_path / "out").official.items()} == {
        "train": 9,
        "dev": 0,
        "test": 3,
    }


def test_a_beir_folder_is_checked_and_copied(toy_folder: Path, tmp_path: Path) -> None:
    imported = import_folder(Source(toy_folder), tmp_path / "out")
    first, second = read_folder(toy_folder), read_folder(tmp_path / "out")
    assert judged(first) == judged(second)
    assert list(first.documents) == list(second.documents)
    assert imported.counts["queries"] == 60


def test_groups_of_a_beir_folder_stay(tmp_path: Path, write_beir: Callable[..., Path]) -> None:
    queries = {f"q{n}": {"text": r["query"], "metadata": {"group": f"g{n // 2}"}} for n, r in enumerate(LOG)}
    documents = {r["id"]: {"text": r["text"]} for r in DOCUMENTS}
    qrels = {"test": [(f"q{n}", f"D-{n}", 1) for n in range(12)]}
    import_folder(Source(write_beir(tmp_path / "in", documents, queries, qrels)), tmp_path / "out")
    assert len(set(read_folder(tmp_path / "out").groups.tolist())) == 6


def test_pictures_of_a_beir_folder_are_copied(tmp_path: Path, write_beir: Callable[..., Path]) -> None:
    from PIL import Image

    pictures = {f"p{n}": {"image": f"{n}.png"} for n in range(12)}
    write_beir(
        tmp_path / "in",
        pictures,
        {f"q{n}": {"text": r["query"]} for n, r in enumerate(LOG)},
        {"test": [(f"q{n}", f"p{n}", 1) for n in range(12)]},
    )
    for n in range(12):
        Image.new("L", (2, 2), n).save(tmp_path / "in" / f"{n}.png")
    import_folder(Source(tmp_path / "in"), tmp_path / "out")
    first, second = (read_folder(tmp_path / name) for name in ("in", "out"))
    assert list(first.documents) == list(second.documents)


BAD: dict[str, tuple[Rows, Rows | None, tuple[str, ...], str]] = {
    "clicks without documents": (LOG, None, (), "'document_id' holds ids, and nothing says what the documents are"),
    "other ids": (
        [{**row, "document_id": f"sku{n}"} for n, row in enumerate(LOG)],
        DOCUMENTS,
        (),
        "log.csv, line 2, 'sku0': 12 of 12 rows name a document that is not in",
    ),
    "a rating that is no number": (
        [*({**row, "rating": 1} for row in LOG), {**LOG[0], "rating": "good"}],
        DOCUMENTS,
        ("--columns", "clicks=rating"),
        "line 14: rating is 'good'; write a number from 0 on",
    ),
    "a negative number of clicks": ([{**LOG[0], "clicks": -1}, *LOG], DOCUMENTS, (), "line 2: clicks is '-1'"),
    "infinite clicks": ([{**LOG[0], "clicks": "inf"}, *LOG], DOCUMENTS, (), "line 2: clicks is 'inf'"),
    "too few": (LOG[:4], DOCUMENTS, (), "4 queries have a relevant document, and train, dev and test need 10"),
    "ratings below all": (
        [{"query": r["query"], "document_id": r["document_id"], "rating": 0.7} for r in LOG],
        DOCUMENTS,
        (),
        "is --relevant-from too high?",
    ),
    "no column for the query": (
        [{"term": r["query"], "document_id": r["document_id"]} for r in LOG],
        DOCUMENTS,
        (),
        "no column for the query among 'term', 'document_id'; name it, as --columns query=term",
    ),
    "an unknown role": (LOG, DOCUMENTS, ("--columns", "quary=query"), "unknown role 'quary'; did you mean 'query'?"),
    "an unknown column": (
        LOG,
        DOCUMENTS,
        ("--columns", "query=quary"),
        "unknown column 'quary'; did you mean 'query'?",
    ),
    "documents without text": (LOG, [{"id": "D-1", "words": "x"}], (), "needs a column id and a column text"),
    "one id for two texts": (
        LOG,
        [*DOCUMENTS, {"id": "D-0", "title": "", "text": "another"}],
        (),
        "line 14: id 'D-0' stands in line 2 already, with another text",
    ),
    "one query id for two queries": (
        [{"query_id": "same", **row} for row in LOG],
        DOCUMENTS,
        (),
        "line 3: 'same' is the id of 'about boats' and of 'about birds'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_imported_is_refused_in_a_line(case: str, imported: Callable[..., Any]) -> None:
    rows, documents, options, message = BAD[case]
    assert message in imported(rows, documents, *options, code=2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv", b"query,document_id\nabout boats,D-1,3\n", "line 2: not 2 columns as in the header"),
        ("log.csv", b"query,document_id\n\xff,D-1\n", "byte 0xff is not UTF-8"),
        ("log.csv", b'query,document_id\n"about,D-1\n', "not valid CSV"),
        ("log.jsonl", b'{"query": 1', "line 1: not valid JSON"),
        ("log.jsonl", b"[1]\n", "line 1: not a JSON object"),
        ("log.parquet", b"nothing", "not a Parquet file"),
        ("log.xlsx", b"", "not a .csv, .tsv, .jsonl, .parquet file, nor a folder"),
        ("log.csv", b"", "0 queries have a relevant document"),
        ("log.csv", None, "missing"),
    ],
)
def test_files_that_cannot_be_read_are_named(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    documents = write(tmp_path / "documents.csv", DOCUMENTS)
    arguments = ["import", str(tmp_path / name), "--documents", str(documents), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert str(tmp_path / name) in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_of_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(main, ["import", str(tmp_path / "empty"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "neither a BEIR folder nor one of Hugging Face datasets" in result.stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    result = CliRunner().invoke(main, ["import", str(write(tmp_path / "log.csv", PAIRS)), "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert (tmp_path / "mine").read_text() == "mine"


def test_the_report_reads_well_in_a_terminal(tmp_path: Path) -> None:
    rows = [*PAIRS, {"anchor": "", "positive": "x"}, {"anchor": "About: boats", "positive": "a text on birds"}]
    arguments = ["import", str(write(tmp_path / "pairs.csv", rows)), "--out", str(tmp_path / "out")]
    printed = CliRunner().invoke(main, arguments).stdout
    assert "13 queries, 1 near-copy among them" in printed
    assert "12 documents\n" in printed
    assert any(line.split() == ["no", "query", "1", "line", "14"] for line in printed.splitlines())
    assert f"tunebench recommend --data {tmp_path / 'out'}" in printed


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 10**6), min_size=1))
def test_more_clicks_never_mean_a_lower_grade(clicks: dict[str, float]) -> None:
    grades = of_clicks(clicks)
    assert set(grades.values()) <= {1, 2, 3}
    ordered = [grades.get(document, 0) for document in sorted(clicks, key=lambda key: clicks[key])]
    assert ordered == sorted(ordered)
    assert (max(ordered) == 3) == any(clicks.values())
    assert of_clicks({key: 7 * number for key, number in clicks.items()}) == grades, (
        "how often it is asked is no matter"
    )


@given(st.dictionaries(st.text(min_size=1), st.lists(st.integers(-5, 9), min_size=1)), st.integers(-3, 6))
def test_a_point_more_is_a_grade_more(ratings: dict[str, list[float]], least: int) -> None:
    grades = of_ratings(ratings, least)
    for document, own in ratings.items():
        mean = sum(own) / len(own)
        assert (document in grades) == (mean >= least)
        if document in grades:
            assert grades[document] == int(mean - least) + 1
