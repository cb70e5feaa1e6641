"""Photographs with captions, in the forms in which Flickr30k and COCO lie on their servers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cache import cache_folder
from bench.data import captions, catalogue
from bench.data.captions import Captions
from bench.data.catalogue import open_dataset
from bench.data.counts import Counts
from bench.data.split import split_queries
from bench.errors import BadInput
from tests.conftest import ZipServer, captioned_copy, photograph

BOTH = pytest.mark.parametrize("name", ["paper/flickr30k", "paper/coco"])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))


@BOTH
def test_a_caption_asks_for_its_photograph(name: str, local_copy: Any) -> None:
    local_copy(name)
    dataset = open_dataset(name)
    assert len(dataset.documents) == 60
    assert len(dataset.queries) == 180, "a blank caption asks for nothing"
    for row, text in enumerate(dataset.queries):
        (answer,) = dataset.qrels.columns[dataset.qrels.rows == row].tolist()
        number = int(str(text).split(",")[0].removeprefix("a thing of colour "))
        assert dataset.documents[answer].path.read_bytes() == photograph(number)


@BOTH
def test_the_split_is_by_caption_and_the_papers(name: str, local_copy: Any) -> None:
    local_copy(name)
    dataset = open_dataset(name)
    split = split_queries(dataset, "official", seed=5)
    assert [len(rows) for rows in (split.train, split.dev, split.test)] == [126, 18, 36]
    order = np.random.default_rng(0).permutation(180).argsort()
    assert split.dev.tolist() == sorted(order[:18].tolist())
    assert split.test.tolist() == sorted(order[18:54].tolist())
    grouped = split_queries(dataset, "grouped", seed=0)
    asked = [set(dataset.groups[rows].tolist()) for rows in (grouped.train, grouped.dev, grouped.test)]
    assert sum(map(len, asked)) == len(set.union(*asked)) == 60


def opened(source: Captions, name: str) -> None:
    catalogue.Entry("", "", "", source, Counts(0)).folder(name)


def nothing_is_left() -> bool:
    data = cache_folder() / "data"
    return not data.exists() or not list(data.iterdir())


def test_a_damaged_zip_is_named(zip_server: ZipServer) -> None:
    source = captioned_copy(captions.FLICKR_CAPTIONS, zip_server, 5)
    (zip_server.folder / "flickr30k-images.zip").write_bytes(b"PK half of it")
    unsigned = replace(source, photographs=replace(source.photographs, md5=""))
    with pytest.raises(
        BadInput, match=r"flickr30k-images\.zip: damaged, or not the photographs of paper/x \(.*; delete"
    ):
        opened(unsigned, "paper/x")
    assert nothing_is_left()


def test_a_photograph_that_is_missing_is_named(zip_server: ZipServer) -> None:
    source = captioned_copy(captions.FLICKR_CAPTIONS, zip_server, 5)
    md5 = zip_server.put("flickr30k-images.zip", {"flickr30k-images/0.jpg": photograph(0)})
    fewer = replace(source, photographs=replace(source.photographs, md5=md5))
    with pytest.raises(
        BadInput, match=r"flickr30k-images\.zip: damaged, or not the .*flickr30k-images/1\.jpg.*; delete"
    ):
        opened(fewer, "paper/x")
    assert nothing_is_left()


@pytest.mark.parametrize(
    "content",
    [
        b"filename,raw\n1.jpg,not a list\n",
        b"file,captions\n1.jpg,[]\n",
        json.dumps({"another": "file"}).encode(),
        b"filename,raw\n1.jpg,\xff\n",
    ],
)
def test_a_table_without_captions_is_named(zip_server: ZipServer, content: bytes) -> None:
    source = captioned_copy(captions.FLICKR_CAPTIONS, zip_server, 5)
    (zip_server.folder / "flickr_annotations_30k.csv").write_bytes(content)
    with pytest.raises(
        BadInput, match=r"flickr_annotations_30k\.csv: holds no captions as paper/x has them .*; delete the file"
    ):
        opened(source, "paper/x")
    assert nothing_is_left()


def test_an_archive_without_captions_is_named(zip_server: ZipServer) -> None:
    source = captioned_copy(captions.COCO_CAPTIONS, zip_server, 5)
    md5 = zip_server.put("annotations_trainval2014.zip", {"annotations/instances_train2014.json": b"{}"})
    other = replace(source, captions=replace(source.captions, md5=md5))
    with pytest.raises(
        BadInput, match=r"annotations_trainval2014\.zip: holds no captions as paper/x has them .*captions_train2014"
    ):
        opened(other, "paper/x")
    assert nothing_is_left()
