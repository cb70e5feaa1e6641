"""The embedding store, with an encoder that counts what it is asked."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.data.folder import read_folder
from bench.data.items import Lines
from bench.embed import store as store_module
from bench.embed.store import Embeddings, Store
from bench.errors import BadInput
from methods import Role

ITEMS = [f"text {number}" for number in range(10)]


def vector(text: str, role: Role = "document", model: str = "r1") -> list[float]:
    """5 numbers that depend on everything that may decide a vector."""
    digest = hashlib.sha256(f"{model} {role} {text}".encode()).digest()
    return [byte / 16.0 + 1.0 for byte in digest[:5]]


@dataclass
class FakeEncoder:
    """Gives the vectors of `vector`, and remembers what it was asked for."""

    revision: str = "r1"
    max_length: int = 128
    asked: list[list[str]] = field(default_factory=list)
    fails_at_call: int = 0
    special: dict[str, list[float]] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str | int]:
        return {"encoder": "fake", "revision": self.revision, "max_length": self.max_length}

    def encode(self, items: Sequence[str], role: Role) -> Tensor:
        self.asked.append(list(items))
        if len(self.asked) == self.fails_at_call:
            raise RuntimeError("killed")
        model = f"{self.revision} {self.max_length}"
        return torch.tensor([self.special.get(item) or vector(item, role, model) for item in items])

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def expected(items: Sequence[str], role: Role = "document", model: str = "r1 128") -> np.ndarray:
    return np.array([vector(item, role, model) for item in items], dtype=np.float32)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SHARD", 4)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def embed(
    store: Store,
    encoder: FakeEncoder,
    items: Sequence[str] = ITEMS,
    role: Role = "document",
    *,
    normalise: bool = False,
) -> Embeddings:
    return store.embed(encoder, items, role, normalise=normalise, progress=lambda done: None)


def shard_paths(store: Store) -> list[Path]:
    return sorted(store.folder.rglob("*.npy"))


def test_vectors_are_the_encoders(store: Store) -> None:
    found = embed(store, FakeEncoder())
    assert [shard.shape for shard in found.shards] == [(4, 5), (4, 5), (2, 5)]
    assert all(shard.dtype == np.float32 for shard in found.shards)
    np.testing.assert_array_equal(found.in_memory().numpy(), expected(ITEMS))
    assert found.in_memory().dtype == torch.float32


def test_shards_are_memory_mapped_and_their_files_are_not_writable_through_them(store: Store) -> None:
    found = embed(store, FakeEncoder())
    assert all(isinstance(shard, np.memmap) for shard in found.shards)
    before = shard_paths(store)[0].read_bytes()
    found.shards[0][:] = 0
    assert shard_paths(store)[0].read_bytes() == before


def test_the_second_time_nothing_is_encoded(store: Store) -> None:
    first = embed(store, FakeEncoder())
    encoder = FakeEncoder()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = embed(store, encoder)
    assert encoder.asked == []
    assert torch.equal(second.in_memory(), first.in_memory())
    assert second.seconds == first.seconds, "the seconds that it took when it was cold are repeated"


def test_what_is_missing_is_what_would_be_encoded(store: Store) -> None:
    items = [*ITEMS[:3], ITEMS[0], *ITEMS]

    def missing() -> list[str]:
        return list(chain(*store.missing(FakeEncoder(), items, "document", normalise=False)))

    broken = FakeEncoder(fails_at_call=3)
    assert missing() == [*ITEMS[:3], *ITEMS]
    assert not store.folder.exists(), "to ask writes nothing"
    with pytest.raises(RuntimeError, match="killed"):
        embed(store, broken, items)
    assert missing() == ITEMS[4:]
    second = FakeEncoder()
    embed(store, second, items)
    assert [item for asked in second.asked for item in asked] == ITEMS[4:]
    assert missing() == []
    assert list(chain(*store.missing(FakeEncoder("r2"), ITEMS, "document", normalise=False))) == ITEMS
    assert list(chain(*store.missing(FakeEncoder(), items, "query", normalise=False))) == [*ITEMS[:3], *ITEMS]


def test_progress_adds_up_whether_or_not_anything_is_encoded(store: Store) -> None:
    for _ in range(2):
        told: list[int] = []
        store.embed(FakeEncoder(), ITEMS, "document", normalise=False, progress=told.append)
        assert told == [4, 4, 2]


def test_seconds_are_those_of_encoding(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(FakeEncoder):
        def encode(self, items: Sequence[str], role: Role) -> Tensor:
            clock[0] += 7.0
            return super().encode(items, role)

    clock = [0.0]
    monkeypatch.setattr(store_module.time, "perf_counter", lambda: clock[0])
    assert embed(store, Slow()).seconds == 21.0
    assert embed(store, Slow()).seconds == 21.0


def test_unit_length_where_it_is_asked_for(store: Store) -> None:
    plain, unit = embed(store, FakeEncoder()), embed(store, FakeEncoder(), normalise=True)
    np.testing.assert_allclose(np.linalg.norm(unit.in_memory(), axis=1), 1.0, atol=1e-6)
    direction = expected(ITEMS) / np.linalg.norm(expected(ITEMS), axis=1, keepdims=True)
    np.testing.assert_allclose(unit.in_memory().numpy(), direction, rtol=1e-6)
    np.testing.assert_array_equal(plain.in_memory().numpy(), expected(ITEMS))


@given(items=st.lists(st.sampled_from("abcde"), min_size=1, max_size=13))
@settings(max_examples=50)
def test_duplicates_are_encoded_once_a_shard_and_are_equal(
    tmp_path_factory: pytest.TempPathFactory, items: list[str]
) -> None:
    encoder = FakeEncoder()
    found = embed(Store(tmp_path_factory.mktemp("store")), encoder, items).in_memory().numpy()
    np.testing.assert_array_equal(found, expected(items))
    assert len(encoder.asked) == -(-len(items) // 4)
    for asked, start in zip(encoder.asked, range(0, len(items), 4), strict=True):
        assert len(asked) == len(set(asked))
        assert set(asked) == set(items[start : start + 4])


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def empty_and_vouch(path: Path) -> None:
    empty(path)
    path.with_suffix(".json").write_text(json.dumps({"sha256": hashlib.sha256(b"").hexdigest(), "seconds": 1.0}))


def garble_voucher(path: Path) -> None:
    path.with_suffix(".json").write_text("{")


def voucher_without_checksum(path: Path) -> None:
    path.with_suffix(".json").write_text(json.dumps({"seconds": 1.0}))


def voucher_of_another_type(path: Path) -> None:
    path.with_suffix(".json").write_text("[]")


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_byte,
        truncate,
        empty,
        empty_and_vouch,
        Path.unlink,
        garble_voucher,
        voucher_without_checksum,
        voucher_of_another_type,
    ],
)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_damaged_shard_is_encoded_again_and_only_it(store: Store, damage: Any, number: int) -> None:
    embed(store, FakeEncoder())
    path = shard_paths(store)[number]
    damage(path)
    encoder = FakeEncoder()
    with pytest.warns(UserWarning, match="(damaged; it is set aside as|missing, and what it held)") as warned:
        found = embed(store, encoder)
    assert [str(path) in str(warning.message) for warning in warned] == [True]
    assert encoder.asked == [ITEMS[4 * number : 4 * number + 4]]
    np.testing.assert_array_equal(found.in_memory().numpy(), expected(ITEMS))
    again = FakeEncoder()
    embed(store, again)
    assert again.asked == []


def narrow(path: Path) -> None:
    """Replaces a shard by one with fewer dimensions, and vouches for it."""
    np.save(path, np.load(path)[:, :3])
    voucher = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "seconds": 1.0}
    path.with_suffix(".json").write_text(json.dumps(voucher))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_shard_with_other_dimensions_than_most_is_encoded_again_and_only_it(store: Store, number: int) -> None:
    embed(store, FakeEncoder())
    narrow(shard_paths(store)[number])
    encoder = FakeEncoder()
    with pytest.warns(UserWarning, match=f"{number}.npy: 3 dimensions where the other shards have 5, so it is encoded"):
        found = embed(store, encoder)
    assert encoder.asked == [ITEMS[4 * number : 4 * number + 4]]
    np.testing.assert_array_equal(found.in_memory().numpy(), expected(ITEMS))


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_an_encoder_whose_dimensions_changed_under_one_name_is_bad_input(store: Store, lost: int) -> None:
    embed(store, FakeEncoder())
    paths = shard_paths(store)
    paths[lost].with_suffix(".json").unlink()
    before = [path.read_bytes() for path in paths]
    wider = FakeEncoder(special={item: [1.0] * 6 for item in ITEMS})
    with pytest.raises(BadInput, match="holds vectors of 5 dimensions, but the encoder gives 6 now; remove") as error:
        embed(store, wider)
    assert "\n" not in str(error.value)
    assert str(paths[0].parent) in str(error.value)
    assert [path.read_bytes() for path in paths] == before


def test_a_shard_that_nothing_vouches_for_is_encoded_again_and_only_it(store: Store) -> None:
    embed(store, FakeEncoder())
    path = shard_paths(store)[1]
    flip_a_byte(path)
    path.with_suffix(".json").unlink()  # as a run leaves it that was killed between the two files
    encoder = FakeEncoder()
    found = embed(store, encoder)
    assert encoder.asked == [ITEMS[4:8]]
    np.testing.assert_array_equal(found.in_memory().numpy(), expected(ITEMS))


def test_an_interrupted_run_goes_on_at_its_shard(store: Store) -> None:
    interrupted = FakeEncoder(fails_at_call=2)
    with pytest.raises(RuntimeError, match="killed"):
        embed(store, interrupted)
    assert interrupted.asked == [ITEMS[:4], ITEMS[4:8]]
    encoder = FakeEncoder()
    found = embed(store, encoder)
    assert encoder.asked == [ITEMS[4:8], ITEMS[8:]]
    np.testing.assert_array_equal(found.in_memory().numpy(), expected(ITEMS))


def test_a_crash_while_writing_leaves_no_shard_that_is_believed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_written(file: Any, array: np.ndarray, **_: Any) -> None:
        file.write(b"\x93NUMPY")
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(store_module.np, "save", half_written)
        with pytest.raises(OSError, match="no space left"):
            embed(store, FakeEncoder())
    assert shard_paths(store) == []
    np.testing.assert_array_equal(embed(store, FakeEncoder()).in_memory().numpy(), expected(ITEMS))


@pytest.mark.parametrize(
    ("bad", "normalise"),
    [
        ([float("nan")] * 5, False),
        ([1.0, 1.0, float("inf"), 1.0, 1.0], False),
        ([1.0, float("nan"), 1.0, 1.0, 1.0], True),
        ([0.0] * 5, True),
    ],
)
def test_a_vector_that_is_no_use_names_its_item(store: Store, bad: list[float], normalise: bool) -> None:
    encoder = FakeEncoder(special={"text 6": bad})
    with pytest.raises(BadInput, match=r"document 'text 6'; drop it or use another encoder"):
        embed(store, encoder, normalise=normalise)
    assert len(shard_paths(store)) == 1, "the shard before it is kept, its own is not"


def test_a_zero_vector_may_stay_where_no_unit_vector_is_due(store: Store) -> None:
    found = embed(store, FakeEncoder(special={"text 6": [0.0] * 5}), role="query")
    assert not found.in_memory()[6].any()


def test_whatever_decides_a_vector_has_a_place_of_its_own(store: Store) -> None:
    plain = embed(store, FakeEncoder())
    others = [
        embed(store, FakeEncoder(revision="r2")),
        embed(store, FakeEncoder(max_length=64)),
        embed(store, FakeEncoder(), role="query"),
        embed(store, FakeEncoder(), normalise=True),
        embed(store, FakeEncoder(), [*ITEMS[:-1], "text 9 "]),
    ]
    for other in others:
        assert not torch.equal(other.in_memory(), plain.in_memory())
    assert len(shard_paths(store)) == 3 * 6
    np.testing.assert_array_equal(
        others[2].in_memory().numpy(), expected(ITEMS, "query"), err_msg="an earlier role's vectors came back"
    )


@given(
    one=st.lists(st.text("ab\x00", max_size=3), min_size=1, max_size=6),
    other=st.lists(st.text("ab\x00", max_size=3), min_size=1, max_size=6),
)
@settings(max_examples=60)
def test_other_items_never_read_these_vectors(
    tmp_path_factory: pytest.TempPathFactory, one: list[str], other: list[str]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    for items in (one, other, one):
        np.testing.assert_array_equal(embed(store, FakeEncoder(), items).in_memory().numpy(), expected(items))


def test_what_is_stored_is_said_beside_it(store: Store) -> None:
    embed(store, FakeEncoder(), role="query")
    (about,) = [json.loads(path.read_text()) for path in store.folder.rglob("about.json")]
    assert about["encoder"] == "fake"
    assert (about["role"], about["normalise"], about["n"]) == ("query", False, 10)


def test_threads_that_share_a_store_encode_once(store: Store) -> None:
    encoders = [FakeEncoder() for _ in range(6)]
    found: list[Tensor] = []
    threads = [
        threading.Thread(target=lambda encoder=encoder: found.append(embed(store, encoder).in_memory()))
        for encoder in encoders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all(np.array_equal(vectors.numpy(), expected(ITEMS)) for vectors in found)
    assert sorted(len(encoder.asked) for encoder in encoders) == [0, 0, 0, 0, 0, 3]


def _embed_in_another_process(folder: Path, barrier: Any, results: Any) -> None:
    store_module.SHARD = 4
    encoder = FakeEncoder()
    barrier.wait()
    vectors = embed(Store(folder), encoder).in_memory().numpy()
    results.put((len(encoder.asked), bool(np.array_equal(vectors, expected(ITEMS)))))


def test_processes_that_share_a_store_encode_once(store: Store) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    workers = [
        context.Process(target=_embed_in_another_process, args=(store.folder, barrier, results)) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sorted(found) == [(0, True), (3, True)]


def test_documents_in_a_file_are_read_a_shard_at_a_time_and_only_to_be_encoded(
    store: Store, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = read_folder(toy_folder).documents
    whole, taken = list(documents), list[object]()
    take = Lines.__getitem__

    def noted(self: Lines, row: Any) -> Any:
        if isinstance(row, slice):
            taken.append(row)
        return take(self, row)

    def all_at_once(self: Lines) -> NoReturn:
        raise AssertionError("all documents were read at once")

    monkeypatch.setattr(Lines, "__getitem__", noted)
    monkeypatch.setattr(Lines, "__iter__", all_at_once)
    found = embed(store, FakeEncoder(), documents)
    np.testing.assert_array_equal(found.in_memory().numpy(), expected(whole))
    assert taken == [slice(start, start + 4) for start in range(0, 60, 4)]
    taken.clear()
    encoder = FakeEncoder()
    embed(store, encoder, read_folder(toy_folder).documents)
    assert (taken, encoder.asked) == ([], [])
