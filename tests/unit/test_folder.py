"""Reading and writing BEIR folders that are in order; those that are not are in tests/faults."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.data.dataset import Dataset, Extraction
from bench.data.folder import read_folder, write_folder
from bench.errors import BadInput
from methods import Csr, Picture

DOCUMENTS = {f"d{number}": {"title": f"Title {number}", "text": f"text {number}"} for number in range(12)}
QUERIES = {f"q{number}": {"text": f"query {number}"} for number in range(12)}
QRELS = [(f"q{number}", f"d{number}", 1) for number in range(12)]


def rows(csr: Csr) -> list[dict[int, float]]:
    """Each row as {column: value}."""
    return [
        dict(zip(csr.columns[low:high].tolist(), csr.values[low:high].tolist(), strict=True))
        for low, high in zip(csr.offsets[:-1].tolist(), csr.offsets[1:].tolist(), strict=True)
    ]


def judged(dataset: Dataset) -> dict[str, dict[str, float]]:
    """Judgements by id."""
    return {
        query: {dataset.document_ids[column]: value for column, value in row.items()}
        for query, row in zip(dataset.query_ids, rows(dataset.qrels), strict=True)
    }


@pytest.fixture
def folder(tmp_path: Path, write_beir: Any) -> Path:
    return write_beir(tmp_path / "plain", DOCUMENTS, QUERIES, {"test": QRELS})


def test_a_document_is_its_title_and_its_text(tmp_path: Path, write_beir: Any) -> None:
    documents = {**DOCUMENTS, "d0": {"text": "no title"}, "d1": {"title": "", "text": "empty title"}}
    documents |= {"d2": {"title": "only a title", "text": ""}, "d3": {"title": None, "text": "null title"}}
    documents["d4"] = {"title": "Straße", "text": "naïve 日本語", "url": "ignored"}
    dataset = read_folder(write_beir(tmp_path / "x", documents, QUERIES, {"test": QRELS}))
    assert list(dataset.document_ids) == list(documents)
    assert list(dataset.documents)[:6] == [
        "no title",
        "empty title",
        "only a title",
        "null title",
        "Straße naïve 日本語",
        "Title 5 text 5",
    ]


def test_judgements_become_rows_with_grades(tmp_path: Path, write_beir: Any) -> None:
    qrels = [*QRELS, ("q1", "d3", 2), ("q1", "d0", 3)]
    dataset = read_folder(write_beir(tmp_path / "x", DOCUMENTS, QUERIES, {"test": qrels}))
    assert judged(dataset)["q1"] == {"d1": 1.0, "d3": 2.0, "d0": 3.0}
    assert list(dataset.queries) == [QUERIES[key]["text"] for key in dataset.query_ids]


def test_zero_and_negative_grades_are_not_relevant(tmp_path: Path, write_beir: Any) -> None:
    qrels = [*QRELS[:-1], ("q0", "d5", 0), ("q0", "d6", -1), ("q11", "d1", 0)]
    dataset = read_folder(write_beir(tmp_path / "x", DOCUMENTS, QUERIES, {"test": qrels}))
    assert judged(dataset) == {f"q{number}": {f"d{number}": 1.0} for number in range(11)}


def test_queries_without_a_judgement_are_left_out(tmp_path: Path, write_beir: Any) -> None:
    queries = {"first": {"text": "nobody judged this"}, **QUERIES, "last": {"text": "nor this"}}
    dataset = read_folder(write_beir(tmp_path / "x", DOCUMENTS, queries, {"test": QRELS}))
    assert list(dataset.query_ids) == list(QUERIES)
    assert len(dataset.qrels) == len(dataset.exclude) == len(dataset.groups) == len(dataset.queries) == 12


def test_a_query_excludes_the_document_of_its_own_id(tmp_path: Path, write_beir: Any) -> None:
    queries = {**QUERIES, "d7": {"text": "also a document"}, "d2": {"text": "also one"}}
    qrels = [*QRELS, ("d7", "d1", 1), ("d2", "d3", 1)]
    dataset = read_folder(write_beir(tmp_path / "x", DOCUMENTS, queries, {"test": qrels}))
    assert rows(dataset.exclude) == [{} for _ in range(12)] + [{7: 1.0}, {2: 1.0}]


def test_queries_of_one_group_share_a_number(tmp_path: Path, write_beir: Any) -> None:
    queries: dict[str, dict[str, object]] = {key: {**row, "metadata": {}} for key, row in QUERIES.items()}
    for key, group in {"q1": "a", "q4": "b", "q5": "a", "q9": "b"}.items():
        queries[key]["metadata"] = {"group": group, "source": "ignored"}
    queries["q2"].pop("metadata")
    queries["q3"]["metadata"] = None
    groups = read_folder(write_beir(tmp_path / "x", DOCUMENTS, queries, {"test": QRELS})).groups.tolist()
    assert groups[1] == groups[5]
    assert groups[4] == groups[9]
    assert len(set(groups)) == 10


def test_one_qrels_file_is_pooled(folder: Path) -> None:
    assert read_folder(folder).official == {}


@pytest.mark.parametrize("names", [("train",), ("train", "dev"), ("dev", "test"), ("test", "gold")])
def test_without_train_and_test_all_qrels_files_are_pooled(
    tmp_path: Path, write_beir: Any, names: tuple[str, ...]
) -> None:
    parts = {name: QRELS[number :: len(names)] for number, name in enumerate(names)}
    dataset = read_folder(write_beir(tmp_path / "x", DOCUMENTS, QUERIES, parts))
    assert dataset.official == {}
    assert set(dataset.query_ids) == set(QUERIES)


@pytest.mark.parametrize("dev", [0, 3])
def test_train_and_test_make_a_split_official(tmp_path: Path, write_beir: Any, dev: int) -> None:
    parts = {"train": QRELS[: 7 - dev], "dev": QRELS[7 - dev : 7], "test": QRELS[7:]}
    if not dev:
        del parts["dev"]
    qrels = {**parts, "unknown": [("nobody", "nothing", 1)]}
    dataset = read_folder(write_beir(tmp_path / "x", DOCUMENTS, QUERIES, qrels))
    found = {name: {dataset.query_ids[row] for row in rows} for name, rows in dataset.official.items()}
    assert found == {name: {query for query, _, _ in parts.get(name, [])} for name in ("train", "dev", "test")}
    assert all(rows.dtype == np.int64 for rows in dataset.official.values())


def test_limit_keeps_so_many_queries_and_the_whole_corpus(tmp_path: Path, write_beir: Any) -> None:
    queries = {f"q{number}": {"text": f"query {number}"} for number in range(40)}
    qrels = [(key, f"d{number % 12}", 1) for number, key in enumerate(queries)]
    folder = write_beir(tmp_path / "x", DOCUMENTS, queries, {"test": qrels})
    chosen = {limit: list(read_folder(folder).limited(limit).query_ids) for limit in (10, 20, 39, 40, 500)}
    assert [len(keys) for keys in chosen.values()] == [10, 20, 39, 40, 40]
    assert set(chosen[10]) < set(chosen[20]) < set(chosen[39])
    assert set(chosen[10]) not in (set(list(queries)[:10]), set(sorted(queries)[:10])), "the first are no sample"
    whole = read_folder(folder)
    assert list(read_folder(folder).limited(10).documents) == list(whole.documents)
    assert all(judged(read_folder(folder).limited(10))[key] == judged(whole)[key] for key in chosen[10])

    backwards = write_beir(tmp_path / "y", DOCUMENTS, dict(reversed(queries.items())), {"test": qrels})
    assert set(read_folder(backwards).limited(10).query_ids) == set(chosen[10]), "the order of the file must not choose"


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_byte_changes_the_fingerprint(folder: Path, data: st.DataObject) -> None:
    before = read_folder(folder).fingerprint
    path = data.draw(st.sampled_from(sorted(path for path in folder.rglob("*") if path.is_file())))
    original = path.read_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != original[at]))
    path.write_bytes(original[:at] + bytes([byte]) + original[at + 1 :])
    try:
        assert read_folder(folder).fingerprint != before
    except BadInput:
        pass  # as good: nobody will take it for the other
    finally:
        path.write_bytes(original)


def test_a_byte_more_in_source_json_changes_the_fingerprint(folder: Path) -> None:
    fingerprints = {read_folder(folder).fingerprint}
    for text in ("{}", '{"numpy": "1"}', '{"numpy": "2"}'):
        (folder / "source.json").write_text(text)
        fingerprints.add(read_folder(folder).fingerprint)
    assert len(fingerprints) == 4


def test_the_fingerprint_does_not_depend_on_the_place(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "deep" / "other name"
    shutil.copytree(folder, moved)
    monkeypatch.chdir(moved)
    fingerprints = {read_folder(place).fingerprint for place in (folder, moved, Path())}
    assert len(fingerprints) == 1


def test_a_file_of_another_name_has_another_fingerprint(folder: Path) -> None:
    before = read_folder(folder).fingerprint
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "train.tsv")
    assert read_folder(folder).fingerprint != before


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
@pytest.mark.parametrize(
    "rewrite",
    [
        pytest.param(lambda data: b"\xef\xbb\xbf" + data, id="byte order mark"),
        pytest.param(lambda data: data.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(lambda data: data.replace(b"\n", b"\n\n"), id="blank lines"),
        pytest.param(lambda data: data.rstrip(b"\n"), id="no newline at the end"),
    ],
)
def test_what_editors_leave_behind_is_read_over(folder: Path, name: str, rewrite: Any) -> None:
    before = read_folder(folder)
    documents = list(before.documents)
    path = folder / name
    path.write_bytes(rewrite(path.read_bytes()))
    after = read_folder(folder)
    assert (after.document_ids, list(after.documents)) == (before.document_ids, documents)
    assert (after.query_ids, after.queries) == (before.query_ids, before.queries)
    assert judged(after) == judged(before)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(data=st.data())
@settings(max_examples=40)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    word = TEXT.filter(str.strip)
    key = st.text("abcdefgh-_.:", min_size=1, max_size=6)
    documents = data.draw(st.dictionaries(key, word.map(str.strip), min_size=3, max_size=15))
    queries = data.draw(st.dictionaries(key, word, min_size=10, max_size=15))
    grades = st.dictionaries(st.sampled_from(sorted(documents)), st.integers(1, 3), min_size=1)
    qrels = {f"q {query}": data.draw(grades) for query in queries}
    queries = {f"q {query}": text for query, text in queries.items()}
    groups = {query: data.draw(st.sampled_from(["GROUP 1", "GROUP 2"])) for query in sorted(queries)[::2]}
    folder = tmp_path_factory.mktemp("written")
    write_folder(folder, Extraction(documents.items(), queries, qrels, {"some-package": "1.0"}, groups))
    dataset = read_folder(folder)
    assert dict(zip(dataset.document_ids, dataset.documents, strict=True)) == documents
    assert dict(zip(dataset.query_ids, dataset.queries, strict=True)) == queries
    assert judged(dataset) == qrels
    number = dict(zip(dataset.query_ids, dataset.groups.tolist(), strict=True))
    for one in queries:
        for other in queries:
            together = one == other or (groups.get(one) is not None and groups.get(one) == groups.get(other))
            assert (number[one] == number[other]) == together


def test_the_package_versions_are_in_the_fingerprint(tmp_path: Path) -> None:
    fingerprints = set()
    for version in ("1.0", "1.1"):
        (tmp_path / version).mkdir()
        documents = {key: str(row["text"]) for key, row in DOCUMENTS.items()}
        queries = {key: row["text"] for key, row in QUERIES.items()}
        qrels = {query: {document: grade} for query, document, grade in QRELS}
        write_folder(tmp_path / version, Extraction(documents.items(), queries, qrels, {"some-package": version}))
        fingerprints.add(read_folder(tmp_path / version).fingerprint)
    assert len(fingerprints) == 2


PICTURES = {"d1": b"\x89PNG one", "d2": b"\x89PNG two", "q3": b"\xff\xd8 a JPEG"}


@pytest.fixture
def pictured(tmp_path: Path) -> Path:
    """A folder in which some items are pictures, one of them twice."""
    documents = {key: PICTURES.get(key, str(row["text"])) for key, row in DOCUMENTS.items()} | {"d5": PICTURES["d1"]}
    queries = {key: PICTURES.get(key, row["text"]) for key, row in QUERIES.items()}
    qrels = {query: {document: grade} for query, document, grade in QRELS}
    (tmp_path / "pictured").mkdir()
    write_folder(tmp_path / "pictured", Extraction(documents.items(), queries, qrels, {}))
    return tmp_path / "pictured"


def test_pictures_are_kept_as_files_and_read_when_they_are_needed(pictured: Path) -> None:
    dataset = read_folder(pictured)
    items = dict(zip(dataset.document_ids, dataset.documents, strict=True))
    items |= dict(zip(dataset.query_ids, dataset.queries, strict=True))
    for key, content in PICTURES.items():
        picture = items[key]
        assert isinstance(picture, Picture)
        assert picture.path.read_bytes() == content
        assert picture.sha256 == hashlib.sha256(content).hexdigest()
    assert items["d5"] == items["d1"]
    assert items["d1"] != items["d2"]
    assert (items["d0"], items["q0"]) == ("text 0", "query 0")
    assert sorted(path.suffix for path in (pictured / "images").iterdir()) == [".jpg", ".png", ".png"]


def test_a_picture_is_in_the_fingerprints_and_its_place_is_not(pictured: Path, tmp_path: Path) -> None:
    before = read_folder(pictured)
    shutil.copytree(pictured, tmp_path / "elsewhere")
    elsewhere = read_folder(tmp_path / "elsewhere")
    assert elsewhere.fingerprint == before.fingerprint
    assert elsewhere.documents.fingerprint == before.documents.fingerprint
    before.documents[1].path.write_bytes(b"\x89PNG another")
    after = read_folder(pictured)
    assert after.fingerprint != before.fingerprint
    assert after.documents.fingerprint != before.documents.fingerprint


def test_documents_are_a_sequence_that_stays_in_the_file(folder: Path) -> None:
    documents = read_folder(folder).documents
    whole = [f"Title {number} text {number}" for number in range(12)]
    assert [documents[row] for row in range(12)] == whole
    assert (documents[-1], documents[-12]) == (whole[-1], whole[0])
    assert documents[3:9:2] == whole[3:9:2]
    assert documents[8:99] == whole[8:]
    for row in (12, -13):
        with pytest.raises(IndexError):
            documents[row]


def test_documents_alone_decide_their_own_fingerprint(folder: Path) -> None:
    before = read_folder(folder)
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q1\td7\t1\n")
    after = read_folder(folder)
    assert after.fingerprint != before.fingerprint
    assert after.documents.fingerprint == before.documents.fingerprint
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "more", "text": "more"}\n')
    assert read_folder(folder).documents.fingerprint != before.documents.fingerprint
