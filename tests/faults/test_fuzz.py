"""Whatever stands in a foreign file, reading it ends well or with an error of ours."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.changes import read_changes
from bench.data import icon_names
from bench.data.archive import Archive
from bench.data.folder import read_folder
from bench.embed.store import Store
from bench.errors import BadInput
from bench.record import Results
from bench.spec import read_suite
from methods import UnknownName

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
often = settings(max_examples=150, suppress_health_check=list(HealthCheck))


@st.composite
def damaged(draw: st.DrawFn, valid: bytes) -> bytes:
    """A valid file with bytes replaced, left out or put in; or no such file at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    content = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.sampled_from([0, 1, 2, 5, 40])))
        content[start:stop] = draw(st.binary(max_size=4) | st.sampled_from([b"\n", b"\t", b"\x00", b'"', b"{", b"NaN"]))
    return bytes(content)


def survives(read: Callable[[], object]) -> None:
    """Reads, and lets pass what is the user's to mend: one line of text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(BadInput, UnknownName):
            read()


FOLDER = {
    "corpus.jsonl": "".join(f'{{"_id": "d{n}", "title": "t", "text": "words {n}"}}\n' for n in range(12)).encode(),
    "queries.jsonl": "".join(f'{{"_id": "q{n}", "text": "asks {n}"}}\n' for n in range(12)).encode(),
    "qrels/test.tsv": "".join(["query-id\tcorpus-id\tscore\n", *(f"q{n}\td{n}\t1\n" for n in range(12))]).encode(),
}


@often
@given(st.data(), st.sampled_from(sorted(FOLDER)))
def test_a_folder(data: st.DataObject, which: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        for name, valid in FOLDER.items():
            path = Path(place) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data.draw(damaged(valid)) if name == which else valid)
        survives(lambda: _look(read_folder(Path(place))))


@often
@given(st.lists(st.dictionaries(st.sampled_from(["_id", "text", "title", "image", "x"]), json_values), max_size=14))
def test_a_folder_of_odd_rows(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        for name, valid in FOLDER.items():
            path = Path(place) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(valid)
        with (Path(place) / "corpus.jsonl").open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        survives(lambda: _look(read_folder(Path(place))))


def _look(dataset: Any) -> None:
    """Documents are read when they are asked for."""
    assert dataset.fingerprint
    assert len([*dataset.documents]) == len(dataset.document_ids)
    assert len([*dataset.queries]) == len(dataset.query_ids)


SUITE = b"""about = "x"
datasets = ["apidocs", "icons"]
methods = ["none", "adaptor[steps=3]+nudge-n"]
seeds = [0, 1]
split = "random"
limit = 50
tune = 3
[encoders]
apidocs = ["minilm"]
"""


@often
@given(st.data())
def test_a_suite(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "mine.toml"
        path.write_bytes(data.draw(damaged(SUITE)))
        survives(lambda: [*read_suite(str(path)).cells(lambda _: "minilm")])


@often
@given(st.data())
def test_a_record(data: st.DataObject) -> None:
    source = next(iter(sorted((Path(__file__).parents[2] / "results" / "quick" / "records").glob("*.json"))))
    identity = json.loads(source.read_text())["identity"]
    with tempfile.TemporaryDirectory() as place:
        results = Results(Path(place))
        path = results.path(identity)
        path.parent.mkdir()
        path.write_bytes(content := data.draw(damaged(source.read_bytes())))
        survives(lambda: [*results.records()])
        survives(lambda: results.find(identity))
        if not path.exists():
            assert path.with_name(f"{path.name}.damaged").read_bytes() == content, "nothing is thrown away"


@often
@given(st.data())
def test_what_a_page_drills_into(data: st.DataObject) -> None:
    source = next(iter(sorted((Path(__file__).parents[2] / "results" / "quick" / "changes").glob("*.json"))))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "changes.json"
        path.write_bytes(data.draw(damaged(source.read_bytes())))
        survives(lambda: read_changes(path))


class _Encoder:
    revision, settings = "1", {"encoder": "fuzz"}

    def encode(self, items: list[str], role: str) -> torch.Tensor:
        return torch.tensor([[1.0, len(item)] for item in items])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    _embed(folder)
    return folder


def _embed(folder: Path) -> np.ndarray:
    items = ["a", "bb", "ccc"]
    return Store(folder).embed(_Encoder(), items, "query", normalise=False, progress=lambda _: None).in_memory().numpy()


@often
@given(data=st.data(), suffix=st.sampled_from([".npy", ".json"]))
def test_a_shard(stored: Path, data: st.DataObject, suffix: str) -> None:
    """It is what it was, or encoded again: never something else."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "store"
        shutil.copytree(stored, folder)
        (path,) = (path for path in folder.glob(f"*/*{suffix}") if path.name != "about.json")
        path.write_bytes(data.draw(damaged(path.read_bytes())))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with suppress(BadInput):
                assert _embed(folder).tolist() == [[1, 1], [1, 2], [1, 3]]


odd = st.none() | st.integers(-5, 5) | st.floats() | st.binary(max_size=5) | st.text(max_size=8)


@often
@given(
    icons=st.lists(st.tuples(odd, odd), max_size=6),
    tags=st.lists(st.tuples(odd, odd), max_size=12),
    cut=st.integers(0, 4) | st.none(),
)
def test_a_database_of_tags(icons: list[Any], tags: list[Any], cut: int | None) -> None:
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        path = Path(place) / "icons.db"
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE icons (name, svg)")
            database.execute("CREATE TABLE icon_tags (name, tag)")
            with suppress(UnicodeEncodeError):
                database.executemany("INSERT INTO icons VALUES (?, ?)", icons)
                database.executemany("INSERT INTO icon_tags VALUES (?, ?)", tags)
        if cut is not None:
            path.write_bytes(path.read_bytes()[: cut * 1024])
        patch.setattr(icon_names, "distribution", lambda _: SimpleNamespace(locate_file=lambda _: path))
        survives(icon_names.extract)


starts = st.sampled_from(["in/", "in/../", "../", "/", "in/a/../../../", "in/a/", "in\\", "C:\\"])


@often
@given(members=st.lists(st.tuples(starts, st.text("ab./\\", max_size=9)), max_size=6))
def test_an_archive_never_writes_outside_its_folder(members: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        path, inner = Path(place) / "x.zip", Path(place) / "un" / "packed"
        inner.mkdir(parents=True)
        with zipfile.ZipFile(path, "w") as packed, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in ("in/corpus.jsonl", *map("".join, members)):
                packed.writestr(name, b"x")
        fetched: Any = SimpleNamespace(md5="0", fetched=lambda _: path)
        survives(lambda: Archive(fetched, "in").write("x", inner))
        assert {each for each in Path(place).rglob("*") if inner not in each.parents} == {path, inner, inner.parent}
