"""What every data set of the catalogue must be: runs over all entries, those of other packages included."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data import catalogue
from bench.data.catalogue import dataset_names, open_dataset
from bench.data.dataset import Dataset
from bench.data.split import split_queries
from bench.embed.encoders import CATALOGUE as ENCODERS
from methods import Picture

ALL = pytest.mark.parametrize("name", dataset_names())
opened: dict[str, Dataset] = {}


@pytest.fixture
def dataset(name: str, tmp_path_factory, monkeypatch, local_copy) -> Dataset:
    """The data set, extracted once into a cache of its own; one that lies on a server as a small copy in its form."""
    local_copy(name)
    if name not in opened:
        monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        opened[name] = open_dataset(name)
    return opened[name]


@ALL
def test_entry_says_what_it_is(name: str) -> None:
    entry = catalogue.entry(name)
    assert entry.about
    assert entry.licence
    assert entry.citation
    assert entry.encoder in ENCODERS


@ALL
def test_ids_are_unique_and_texts_are_there(dataset: Dataset) -> None:
    assert len(set(dataset.document_ids)) == len(dataset.documents)
    assert len(set(dataset.query_ids)) == len(dataset.queries) == len(dataset.qrels) == len(dataset.groups)
    for item in (*dataset.documents, *dataset.queries):
        assert item.path.is_file() if isinstance(item, Picture) else item.strip()


@ALL
def test_every_query_is_judged_on_documents_that_exist(dataset: Dataset) -> None:
    assert (dataset.qrels.lengths > 0).all()
    assert (dataset.qrels.values > 0).all()
    assert int(dataset.qrels.columns.min()) >= 0
    assert int(dataset.qrels.columns.max()) < len(dataset.documents)


@ALL
@pytest.mark.parametrize("recipe", ["random", "grouped"])
def test_can_be_split(dataset: Dataset, recipe: str) -> None:
    split = split_queries(dataset, recipe, seed=0)
    rows = np.concatenate([split.train, split.dev, split.test])
    assert sorted(rows.tolist()) == list(range(len(dataset.queries)))
    assert len(split.test) == pytest.approx(len(rows) / 5, rel=0.1)
    assert len(split.dev) == pytest.approx(len(rows) / 10, rel=0.1)


@ALL
def test_a_second_extraction_has_the_same_fingerprint(dataset: Dataset, name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path))
    again = open_dataset(name)
    assert again.fingerprint == dataset.fingerprint
    assert open_dataset(name, limit=50).fingerprint == dataset.fingerprint
    assert len(open_dataset(name, limit=50).queries) == 50
