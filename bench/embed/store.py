"""The embedding store: what has been encoded once is read from disk, memory-mapped, ever after.

A folder is named by a hash of the items and of everything that decides their vectors; in it, shard by shard, an array
and a small file that vouches for it with a checksum and the seconds that encoding it took. A shard without a valid
voucher is encoded again, which is all that resuming needs.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mode
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from bench.data.items import Lines
from bench.errors import BadInput, Mended
from bench.whole import set_aside, write_whole, writing
from methods import Encoder, Item, Picture, Role

SHARD = 8192  # items; a killed run loses at most one shard


class IdentifiedEncoder(Encoder, Protocol):
    """An encoder that can say what decides its vectors."""

    @property
    def revision(self) -> str:
        """What tells its weights from others."""
        ...

    @property
    def settings(self) -> dict[str, str | int]:
        """All that decides a vector, besides the item and its role, as plain JSON."""
        ...

    def reopened(self, folder: Path) -> IdentifiedEncoder:
        """The encoder with the weights that `save` wrote to a folder."""
        ...


@dataclass(frozen=True)
class Cost:
    """What encoding costs, as it is estimated beforehand."""

    tokens: int
    dollars: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.tokens + other.tokens, self.dollars + other.dollars)


@runtime_checkable
class PaidEncoder(IdentifiedEncoder, Protocol):
    """An encoder that somebody charges for."""

    @property
    def name(self) -> str:
        """As it is asked for."""
        ...

    def price(self, items: Sequence[Item]) -> Cost:
        """About what encoding the items costs; nothing is encoded, nobody asked."""
        ...

    def check(self) -> None:
        """Raises BadInput when it is plain that it could not encode now, for want of a key or a package."""
        ...


@dataclass(frozen=True)
class Embeddings:
    """Vectors in order.

    Attributes:
        shards: each (n_i, d) float32, memory-mapped.
        seconds: what encoding took when it was done, however long ago.
    """

    shards: tuple[NDArray[np.float32], ...]
    seconds: float

    def in_memory(self) -> Tensor:
        """(n, d) float32."""
        return torch.from_numpy(np.concatenate(self.shards))


@dataclass(frozen=True)
class Store:
    """A folder of embeddings, which several runs may share."""

    folder: Path

    def embed(
        self,
        encoder: IdentifiedEncoder,
        items: Sequence[Item],
        role: Role,
        *,
        normalise: bool,
        progress: Callable[[int], None],
    ) -> Embeddings:
        """Reads the items' vectors, and encodes those that are not there.

        Args:
            encoder: what encodes.
            items: n texts or pictures; lines of a file are known by the file and not read when they are encoded.
            role: as what they are encoded.
            normalise: whether vectors are scaled to unit length.
            progress: is told how many items more are done.

        Raises:
            BadInput: when the encoder gives a vector that is not finite, or is zero where a unit vector is due, or
                that has not the dimensions of those that are stored.
        """
        about, folder = self._place(encoder, items, role, normalise)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / "lock").acquire()
        places = _places(folder, len(items))
        shards, seconds = [], 0.0
        with lock:
            write_whole(folder / "about.json", json.dumps({**about, "n": len(items)}, indent=1).encode() + b"\n")
            stored = _stored(places)
            width = next((shard.width for shard in stored.values()), None)
            for path, rows in places.items():
                shard = stored.get(path) or _encode_shard(path, encoder, items[rows], role, normalise, width)
                width = shard.width
                seconds += shard.seconds
                # Copy-on-write, because torch shares only memory that it could write to; the file stays as it is.
                shards.append(np.load(path, mmap_mode="c", allow_pickle=False))
                progress(len(shards[-1]))
        return Embeddings(tuple(shards), seconds)

    def missing(
        self, encoder: IdentifiedEncoder, items: Sequence[Item], role: Role, *, normalise: bool
    ) -> Iterator[list[Item]]:
        """The items that `embed` would have encoded, shard by shard."""
        _, folder = self._place(encoder, items, role, normalise)
        places = _places(folder, len(items))
        stored = _stored(places)
        for path, rows in places.items():
            if path not in stored:
                yield list(dict.fromkeys(items[rows]))

    def _place(
        self, encoder: IdentifiedEncoder, items: Sequence[Item], role: Role, normalise: bool
    ) -> tuple[dict[str, Any], Path]:
        """All that decides the items' vectors, and the folder that it names."""
        about = {
            **encoder.settings,
            "role": role,
            "normalise": normalise,
            "items": items.fingerprint if isinstance(items, Lines) else _fingerprint(items),
        }
        name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
        return about, self.folder / name


def _places(folder: Path, n: int) -> dict[Path, slice]:
    """Each shard's file, and which of the n items are in it."""
    return {folder / f"{start // SHARD:06d}.npy": slice(start, start + SHARD) for start in range(0, n, SHARD)}


@dataclass(frozen=True)
class _Shard:
    """What is known of a stored shard: the seconds that encoding it took, and its dimensions."""

    seconds: float
    width: int


def _encode_shard(
    path: Path, encoder: Encoder, items: Sequence[Item], role: Role, normalise: bool, width: int | None
) -> _Shard:
    """Encodes each distinct item once, writes the array and then its voucher."""
    began = time.perf_counter()
    place: dict[Item, int] = {}
    for item in items:
        place.setdefault(item, len(place))
    vectors = encoder.encode(list(place), role)[[place[item] for item in items]]
    if width not in (None, vectors.shape[1]):
        raise BadInput(
            f"{path.parent}: holds vectors of {width} dimensions, but the encoder gives {vectors.shape[1]} now; "
            "remove that folder, or bring back the encoder that it is from"
        )
    lengths = vectors.norm(dim=1, keepdim=True)
    bad = (~lengths[:, 0].isfinite() | (lengths[:, 0] == 0 if normalise else False)).nonzero()
    if len(bad):
        item = str(items[int(bad[0])])[:60]
        raise BadInput(f"no usable vector for the {role} {item!r}; drop it or use another encoder")
    array = (vectors / lengths if normalise else vectors).numpy()
    took = time.perf_counter() - began
    written = io.BytesIO()
    np.save(written, array, allow_pickle=False)
    write_whole(path, written.getbuffer())
    voucher = {"sha256": hashlib.sha256(written.getbuffer()).hexdigest(), "seconds": took}
    write_whole(path.with_suffix(".json"), json.dumps(voucher).encode())
    return _Shard(took, array.shape[1])


def _stored(paths: Iterable[Path]) -> dict[Path, _Shard]:
    """The shards that are what their vouchers say, and have the dimensions that most of them have."""
    found = {path: shard for path in paths if (shard := _vouched(path)) is not None}
    usual = mode(shard.width for shard in found.values()) if found else None
    for path in [path for path, shard in found.items() if shard.width != usual]:
        warnings.warn(
            f"{path}: {found.pop(path).width} dimensions where the other shards have {usual}, so it is encoded again",
            Mended,
            stacklevel=2,
        )
    return found


def _vouched(path: Path) -> _Shard | None:
    """A shard, or None when it is missing or not what its voucher says."""
    voucher = path.with_suffix(".json")
    if not voucher.exists():
        return None
    try:
        said = json.loads(voucher.read_text())
        if said["sha256"] == _file_hash(path):
            return _Shard(float(said["seconds"]), np.load(path, mmap_mode="r", allow_pickle=False).shape[1])
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        pass
    voucher.unlink()
    set_aside(path, "damaged" if path.exists() else "missing", "what it held is encoded again")
    return None


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(items: Sequence[Item]) -> str:
    digest = hashlib.sha256()
    for item in items:
        text = (item.sha256 if isinstance(item, Picture) else item).encode()
        digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()
