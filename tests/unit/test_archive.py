"""Data sets from a server: a zip on the loopback stands for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from beir import util
from beir.datasets.data_loader import GenericDataLoader

from bench import listing
from bench.cache import cache_folder
from bench.data import catalogue
from bench.data.archive import Archive
from bench.data.catalogue import CATALOGUE, open_dataset
from bench.data.counts import Counts
from bench.data.download import Download
from bench.data.folder import read_folder
from bench.errors import BadInput
from tests.conftest import packed_folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def archive(zip_server, toy_folder) -> Archive:
    md5 = zip_server.put("toy.zip", {"README.txt": b"beside it", **packed_folder(toy_folder, "toy")})
    return Archive(Download(f"{zip_server.url}/toy.zip", md5), inside="toy")


def opened(archive: Archive) -> Path:
    """The folder of a data set `beir/toy` that comes from there."""
    return catalogue.Entry("", "", "", archive, Counts(0)).folder("beir/toy")


def downloads() -> Path:
    return cache_folder() / "downloads"


def test_what_is_unpacked_is_what_was_packed(archive, toy_folder, zip_server) -> None:
    folder = opened(archive)
    assert read_folder(folder).fingerprint == read_folder(toy_folder).fingerprint
    assert sorted(path.name for path in folder.iterdir()) == ["corpus.jsonl", "qrels", "queries.jsonl"]
    assert opened(archive) == folder
    assert len(zip_server.asked) == 1


def test_beir_reads_the_same_from_the_same_zip(archive, tmp_path) -> None:
    ours = read_folder(opened(archive))
    util.unzip(str(downloads() / "toy.zip"), str(tmp_path / "theirs"))
    corpus, queries, qrels = GenericDataLoader(str(tmp_path / "theirs" / "toy")).load(split="test")
    assert {key: row["text"] for key, row in corpus.items()} == dict(
        zip(ours.document_ids, ours.documents, strict=True)
    )
    assert queries == dict(zip(ours.query_ids, ours.queries, strict=True))
    assert sum(map(len, qrels.values())) == len(ours.qrels.columns)


@pytest.mark.parametrize("resumes", [True, False])
def test_an_interrupted_download_goes_on_where_it_stopped(archive, zip_server, resumes: bool) -> None:
    content = (zip_server.folder / "toy.zip").read_bytes()
    downloads().mkdir(parents=True)
    (downloads() / "toy.zip.part").write_bytes(content[:1000])
    zip_server.resumes = resumes
    opened(archive)
    assert zip_server.asked == [("/toy.zip", "bytes=1000-")]
    assert (downloads() / "toy.zip").read_bytes() == content


def test_a_whole_part_is_not_asked_for_again(archive, zip_server) -> None:
    downloads().mkdir(parents=True)
    (downloads() / "toy.zip.part").write_bytes((zip_server.folder / "toy.zip").read_bytes())
    opened(archive)
    assert zip_server.asked == []


def test_a_file_that_nobody_vouches_for_is_complete_at_least(archive, zip_server, monkeypatch) -> None:
    unsigned = replace(archive, zip=Download(archive.zip.url))
    content = (zip_server.folder / "toy.zip").read_bytes()
    zip_server.stops_at = 1000
    with pytest.raises(BadInput, match=r"^beir/toy: cannot fetch it \([\d,]+ bytes are missing\); try again, or fetch"):
        opened(unsigned)
    assert nothing_is_left()
    zip_server.stops_at = None
    opened(unsigned)
    assert zip_server.asked[-1] == ("/toy.zip", "bytes=1000-")
    (downloads() / "toy.zip").rename(downloads() / "toy.zip.part")  # as a run leaves it that was killed in between
    assert Download(archive.zip.url).fetched("beir/toy").read_bytes() == content


def test_a_zip_that_was_put_there_by_hand_needs_no_network(archive, zip_server, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    downloads().mkdir(parents=True)
    (downloads() / "toy.zip").write_bytes((zip_server.folder / "toy.zip").read_bytes())
    assert opened(archive).is_dir()
    assert zip_server.asked == []


def nothing_is_left() -> bool:
    data = cache_folder() / "data"
    return not data.exists() or not list(data.iterdir())


def test_another_zip_than_the_one_that_is_meant_is_refused(archive, zip_server) -> None:
    zip_server.put("toy.zip", {"toy/corpus.jsonl": b"{}"})
    with pytest.raises(BadInput, match=r"has MD5 \w+ instead of .*fetch http.*toy.zip elsewhere and put it at /"):
        opened(archive)
    assert not list(downloads().glob("*.zip*[!k]"))
    assert nothing_is_left()


def test_without_network_it_says_what_to_fetch_and_where_to_put_it(archive, zip_server, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BadInput, match=r"^beir/toy: not in the cache, and HF_HUB_OFFLINE is set; fetch http.* put it"):
        opened(archive)
    assert zip_server.asked == []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    gone = Archive(Download("http://127.0.0.1:9/toy.zip", archive.zip.md5), "toy")
    with pytest.raises(BadInput, match=r"^beir/toy: cannot fetch it \(.*refused.*\); try again, or fetch http://127"):
        opened(gone)
    missing = Archive(Download(f"{zip_server.url}/missing.zip", archive.zip.md5), "toy")
    with pytest.raises(BadInput, match=r"cannot fetch it \(HTTP Error 404"):
        opened(missing)


BAD = {
    "a path that leads out": ({"toy/corpus.jsonl": b"", "../evil.jsonl": b""}, "holds '../evil.jsonl', a path that"),
    "an absolute path": ({"toy/corpus.jsonl": b"", "/evil.jsonl": b""}, "holds '/evil.jsonl', a path that leads out"),
    "no folder": ({"other/corpus.jsonl": b""}, "holds no toy/corpus.jsonl"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_archive_that_is_not_what_it_should_be_is_refused(case: str, zip_server, tmp_path) -> None:
    members, said = BAD[case]
    md5 = zip_server.put("toy.zip", members)
    with pytest.raises(BadInput, match=said) as error:
        opened(Archive(Download(f"{zip_server.url}/toy.zip", md5), "toy"))
    assert "\n" not in str(error.value)
    assert nothing_is_left()
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("part", [0.0, 0.01, 0.9])
def test_half_a_zip_that_was_put_there_is_refused(part: float, archive, zip_server) -> None:
    content = (zip_server.folder / "toy.zip").read_bytes()
    downloads().mkdir(parents=True)
    (downloads() / "toy.zip").write_bytes(content[: int(part * len(content))])
    with pytest.raises(BadInput, match=r"toy.zip: has MD5 \w+ instead of \w+; delete the file"):
        opened(archive)
    assert nothing_is_left()


def test_the_list_shows_what_is_cached(local_copy, monkeypatch) -> None:
    def row() -> dict[str, str]:
        return next(row for row in listing.datasets() if row["name"] == "beir/scifact")

    local_copy("beir/scifact")
    catalogue.open_dataset("beir/scifact")
    monkeypatch.setattr(catalogue, "CATALOGUE", CATALOGUE)
    assert [row()[column] for column in ("documents", "queries", "judgements")] == ["5,183", "1,109", "1,258"]
    assert (row()["splits"], row()["MB"], row()["citation"]) == ("train, test", "2.8", "Wadden et al. 2020")
    assert row()["cached"] == ""  # the copy is not the set that BEIR publishes
    real = CATALOGUE["beir/scifact"].cached("beir/scifact")
    real.mkdir(parents=True)
    assert row()["cached"] == "yes"


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (Counts(61, 60, 90), "60 documents instead of 61"),
        (Counts(60, 59, 90), "60 queries instead of 59"),
        (Counts(60, 60, 91), "90 judgements instead of 91"),
    ],
)
def test_other_counts_than_published_are_refused(local_copy, monkeypatch, counts: Counts, said: str) -> None:
    local_copy("beir/scifact")
    other = replace(catalogue.CATALOGUE["beir/scifact"], counts=counts)
    monkeypatch.setattr(catalogue, "CATALOGUE", {**catalogue.CATALOGUE, "beir/scifact": other})
    with pytest.raises(BadInput, match=rf"^beir/scifact: {said}; delete /"):
        open_dataset("beir/scifact")
