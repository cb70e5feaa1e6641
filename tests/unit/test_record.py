"""Records: what is written is read, whole or not at all."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.errors import BadInput, Mended
from bench.record import Record, Results, cell_id

PER_QUERY = pd.DataFrame({"query_id": ["q1", "q2"], "ndcg@10": [0.25, 1.0], "seen": [True, False]})


def made(seed: int = 0, **fields: Any) -> Record:
    defaults: dict[str, Any] = {
        "dataset": "apidocs",
        "encoder": "minilm",
        "method": "nudge-n[gamma=0.3]",
        "seed": seed,
        "status": "ok",
        "metrics": {
            "ndcg@10": 0.5,
            "recall@10": 1.0,
            "seen": {"queries": 2, "ndcg@10": 1 / 3},
            "unseen": {"queries": 0},
            "nearest": {"unseen": {"queries": 0}, "<.6": {"queries": 2, "ndcg@10": 0.1}},
        },
        "seconds": {"fit": 1.5, "search": 0.25},
        "fit_seconds": 1.5,
        "counts": {"documents": 12},
        "memory": {"rss": 10**9},
        "environment": {"torch": "2.6", "cores": 2},
        "curves": {"loss": [3.0, 2.0]},
        "identity": {"dataset": "apidocs", "seed": seed, "hyperparameters": {"gamma": 0.3, "steps": None}},
    }
    return Record(**(defaults | fields))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    results, record = Results(tmp_path / "deep" / "results"), made()
    results.write(record, PER_QUERY)
    assert results.find(record.identity) == record
    assert list(results.records()) == [record]
    pd.testing.assert_frame_equal(pd.read_parquet(results.per_query(record)), PER_QUERY)
    name = cell_id(record.identity)
    assert files(results.folder) == [f"per_query/{name}.parquet", f"records/{name}.json"]


def test_what_is_written_is_json_that_anything_reads(tmp_path: Path) -> None:
    results, record = Results(tmp_path), made()
    results.write(record, None)
    (path,) = (tmp_path / "records").iterdir()
    read = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert read["metrics"]["ndcg@10"] == 0.5
    assert next(iter(read["metrics"])) == "ndcg@10"
    assert (read["dataset"], read["status"], read["seed"]) == ("apidocs", "ok", 0)


def test_another_identity_is_not_found(tmp_path: Path) -> None:
    results, record = Results(tmp_path), made()
    assert results.find(record.identity) is None
    results.write(record, PER_QUERY)
    for other in ({"seed": 1}, {"extra": None}, {"hyperparameters": {"gamma": 0.31, "steps": None}}):
        assert results.find(record.identity | other) is None


def test_records_come_in_an_order_of_their_identities(tmp_path: Path) -> None:
    records = [made(seed) for seed in range(20)]
    for folder, order in ((tmp_path / "a", records), (tmp_path / "b", records[::-1])):
        for record in order:
            Results(folder).write(record, None)
    assert list(Results(tmp_path / "a").records()) == list(Results(tmp_path / "b").records())
    assert {record.seed for record in Results(tmp_path / "a").records()} == set(range(20))


def test_a_later_record_replaces_the_earlier(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(made(status="failed", reason="no memory", metrics={}), None)
    results.write(made(), PER_QUERY)
    assert [record.status for record in results.records()] == ["ok"]


def test_a_failed_record_leaves_no_scores_of_an_earlier_one(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(made(), PER_QUERY)
    results.write(made(status="failed", reason="no memory", metrics={}), None)
    assert [record.status for record in results.records()] == ["failed"]
    assert not results.per_query(made()).exists()


def crash(_descriptor: int) -> NoReturn:
    raise OSError("disk is gone")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def backwards(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(each) for each in value] if isinstance(value, list) else value


@given(identity=st.dictionaries(st.text(max_size=5), JSON, max_size=5))
@settings(max_examples=50)
def test_the_order_of_keys_does_not_make_another_cell(identity: dict[str, Any]) -> None:
    assert cell_id(backwards(identity)) == cell_id(identity)
    assert cell_id(json.loads(json.dumps(identity))) == cell_id(identity)
    assert len(cell_id(identity)) == 64


@given(one=st.dictionaries(st.text(max_size=3), JSON), other=st.dictionaries(st.text(max_size=3), JSON))
@settings(max_examples=50)
def test_other_identities_have_other_names(one: dict[str, Any], other: dict[str, Any]) -> None:
    def plain(identity: dict[str, Any]) -> str:
        return json.dumps(identity, sort_keys=True)

    assert (cell_id(one) == cell_id(other)) == (plain(one) == plain(other))


def test_the_name_of_a_cell_stays_the_same_for_ever() -> None:
    identity = {"schema": 1, "dataset": "größe", "seed": 0, "hyperparameters": {"b": 0.5, "a": None}}
    assert cell_id(identity) == "8d96fb07bd6f5936a09a145a85485f602358c0fdc1663d70125db069432aea19"


def test_a_number_that_is_none_has_no_identity() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        cell_id({"gamma": math.nan})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_curves_may_hold_what_is_no_finite_number(tmp_path: Path, value: float) -> None:
    results, record = Results(tmp_path), made(curves={"loss": [1.0, value]})
    results.write(record, None)
    found = results.find(record.identity)
    assert found is not None
    assert repr(found.curves["loss"]) == repr([1.0, value])
    (path,) = (tmp_path / "records").iterdir()
    json.loads(path.read_text(), parse_constant=pytest.fail)


def test_scores_that_cannot_be_written_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises((pa.ArrowException, TypeError)):
        Results(tmp_path).write(made(), pd.DataFrame({"query_id": ["q1", {"q2"}]}))
    assert files(tmp_path) == []


def test_a_crash_while_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", crash)
        with pytest.raises(OSError, match="disk is gone"):
            Results(tmp_path).write(made(), PER_QUERY)
    assert files(tmp_path) == []
    assert Results(tmp_path).find(made().identity) is None


def test_a_crash_while_writing_leaves_the_earlier_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, record = Results(tmp_path), made()
    results.write(record, PER_QUERY)
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", crash)
        with pytest.raises(OSError, match="disk is gone"):
            results.write(made(metrics={"ndcg@10": 0.0}), PER_QUERY)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b'{"dataset": "apidocs"', "the file: "),
        (b"", "the file: "),
        (b'{"dataset": "apidocs"}', "encoder: Field required"),
        (b"\xff\xfe", "the file: "),
        (b"[]", "the file: "),
    ],
)
def test_a_damaged_record_is_named_with_the_remedy(tmp_path: Path, text: bytes, what: str) -> None:
    results, record = Results(tmp_path), made()
    results.write(record, None)
    (path,) = (tmp_path / "records").iterdir()
    path.write_bytes(text)
    with pytest.raises(BadInput) as error:
        list(results.records())
    assert str(error.value).startswith(f"{path}: {what}")
    assert str(error.value).endswith("delete the file, and the cell runs again")
    assert "\n" not in str(error.value)
    with pytest.warns(Mended) as warned:
        assert results.find(record.identity) is None
    (said,) = (str(warning.message) for warning in warned)
    assert said.startswith(f"{path}: damaged ({what}")
    assert said.endswith("the cell runs again")
    assert path.with_name(f"{path.name}.damaged").read_bytes() == text, "it is set aside"
    assert not path.exists()


def test_a_record_with_an_unknown_field_is_damaged(tmp_path: Path) -> None:
    Results(tmp_path).write(made(), None)
    (path,) = (tmp_path / "records").iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), "later": 1}))
    with pytest.raises(BadInput, match="later: "):
        list(Results(tmp_path).records())


def test_a_folder_without_records_says_how_to_get_some(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BadInput, match="holds no records; `tunebench run"):
            Results(folder).records()


def test_unfinished_files_are_no_records(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(made(), None)
    (tmp_path / "records" / ".abc.json.123").write_text("{")
    assert len(list(results.records())) == 1


def test_records_do_not_change() -> None:
    with pytest.raises(ValidationError):
        made().seed = 1  # type: ignore[misc]


def test_a_failure_is_forgotten_once_its_cell_is_done_and_no_other(tmp_path: Path) -> None:
    results = Results(tmp_path)
    done = {
        "dataset": "apidocs",
        "limit": None,
        "encoder": "minilm",
        "method": "none",
        "seed": 0,
        "split": "random",
        "accelerator": "cpu",
        "threads": 2,
        "fingerprint": "new",
    }
    results.write(made(identity=done), PER_QUERY)
    repaired = [{**done, "fingerprint": "old"}, {**done, "fingerprint": "", "split": "default"}]
    others = [
        {**done, "fingerprint": "old", name: value}
        for name, value in {
            "dataset": "icons",
            "limit": 50,
            "encoder": "bge-small",
            "method": "nudge-n",
            "seed": 1,
            "split": "grouped",
            "accelerator": "NVIDIA H100",
            "threads": 8,
        }.items()
    ]
    for identity in (*repaired, *others):
        results.write(made(identity=identity, status="failed", reason="bad luck"), None)
    results.write(made(identity={**done, "fingerprint": "older"}), PER_QUERY)
    results.forget_repaired()
    assert [results.find(identity) for identity in repaired] == [None, None]
    assert all(results.find(identity) for identity in others)
    assert sum(record.status == "ok" for record in results.records()) == 2
