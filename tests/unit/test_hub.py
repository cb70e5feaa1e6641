"""Data sets as the authors of NUDGE host them: a folder in the Hub's layout stands for a repository."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
import torch

from bench.data.catalogue import Entry
from bench.data.counts import Counts
from bench.data.folder import read_folder
from bench.data.hub import Hub
from bench.data.split import default_recipe, split_queries
from bench.errors import BadInput
from tests.conftest import paper_tables, write_hub


@pytest.fixture(autouse=True)
def own_caches(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))


def opened(hub: Hub) -> Path:
    """The folder of a data set `paper/toy` that comes from there."""
    return Entry("", "", "", hub, Counts(0)).folder("paper/toy")


def test_texts_judgements_and_split_are_the_authors(tmp_path, toy_folder) -> None:
    tables = paper_tables(toy_folder)
    dataset = read_folder(opened(Hub(str(write_hub(tmp_path / "toy_ft", tables)))))
    assert dict(zip(dataset.document_ids, dataset.documents, strict=True)) == dict(
        zip(*tables["data_records", "train"].values(), strict=True)
    )
    assert default_recipe(dataset) == "official"
    split = split_queries(dataset, "official", seed=0)
    for name, rows in vars(split).items():
        assert [dataset.query_ids[row].removeprefix("query-") for row in rows] == tables["qs", name]["q_id"]
        assert [dataset.queries[row] for row in rows] == tables["qs", name]["input"]
    judged = {
        (dataset.query_ids[row].removeprefix("query-"), dataset.document_ids[column])
        for row, column in zip(dataset.qrels.rows, dataset.qrels.columns, strict=True)
    }
    theirs = [tables["qs_rel", name] for name in ("train", "dev", "test")]
    assert judged == {pair for own in theirs for pair in zip(own["q_id"], own["record_id"], strict=True)}


def test_numbers_as_ids_and_grades_are_kept(tmp_path, toy_folder) -> None:
    tables = paper_tables(toy_folder)
    numbered = {
        key: {
            column: [int(str(value)[1:]) for value in values] if column in {"q_id", "record_id"} else values
            for column, values in columns.items()
        }
        for key, columns in tables.items()
    }
    numbered["qs_rel", "test"]["rel"] = [2] * len(numbered["qs_rel", "test"]["rel"])
    dataset = read_folder(opened(Hub(str(write_hub(tmp_path / "toy_ft", numbered)))))
    assert dataset.document_ids[:3] == ["0", "1", "2"]
    test = split_queries(dataset, "official", seed=0).test
    assert set(dataset.qrels.take(torch.from_numpy(test)).values.tolist()) == {2.0}
    assert not len(dataset.exclude.columns), "query 5 is not document 5"


def nothing_is_left(tmp_path: Path) -> bool:
    data = tmp_path / "cache" / "data"
    return not data.exists() or not list(data.iterdir())


def test_a_repository_that_cannot_be_reached(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        BadInput, match=r"^paper/toy: data_records, train, of nobody/toy_ft cannot be loaded \("
    ) as error:
        opened(Hub("nobody/toy_ft"))
    assert "HF_HOME" in str(error.value)
    assert "\n" not in str(error.value)
    assert nothing_is_left(tmp_path)


def test_a_missing_configuration(tmp_path, toy_folder) -> None:
    tables = {key: columns for key, columns in paper_tables(toy_folder).items() if key[0] != "qs"}
    hub = Hub(str(write_hub(tmp_path / "toy_ft", tables)))
    with pytest.raises(BadInput, match=r"paper/toy: qs, train, of .*toy_ft cannot be loaded .*qs"):
        opened(hub)
    assert nothing_is_left(tmp_path)


def test_a_missing_column(tmp_path, toy_folder) -> None:
    tables = paper_tables(toy_folder)
    for split in ("train", "dev", "test"):
        tables["qs", split]["query"] = tables["qs", split].pop("input")
    hub = Hub(str(write_hub(tmp_path / "toy_ft", tables)))
    with pytest.raises(BadInput, match=r"paper/toy: qs, train, of .*toy_ft has no column 'input'; it has q_id, query"):
        opened(hub)
    assert nothing_is_left(tmp_path)
