"""The embedding store: what has been encoded once is read from disk, memory-mapped, ever after.

A folder is named by a hash of the items and of everything that decides their vectors; in it, shard by shard, an array
and a small file that vouches for it with a checksum and the seconds that encoding it took. A shard without a valid
voucher is encoded again, which is all that resuming needs.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import BadInput
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
            items: n texts.
            role: as what they are encoded.
            normalise: whether vectors are scaled to unit length.
            progress: is told how many items more are done.

        Raises:
            BadInput: when the encoder gives a vector that is not finite, or is zero where a unit vector is due.
        """
        about = {**encoder.settings, "role": role, "normalise": normalise, "items": _fingerprint(items)}
        folder = self.folder / hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
        folder.mkdir(parents=True, exist_ok=True)
        shards, seconds = [], 0.0
        with FileLock(folder / "lock"):
            (folder / "about.json").write_text(json.dumps({**about, "n": len(items)}, indent=1) + "\n")
            for start in range(0, len(items), SHARD):
                some = items[start : start + SHARD]
                path = folder / f"{start // SHARD:06d}.npy"
                took = _vouched_seconds(path)
                if took is None:
                    took = _encode_shard(path, encoder, some, role, normalise)
                seconds += took
                # Copy-on-write, because torch shares only memory that it could write to; the file stays as it is.
                shards.append(np.load(path, mmap_mode="c", allow_pickle=False))
                progress(len(some))
        return Embeddings(tuple(shards), seconds)


def _encode_shard(path: Path, encoder: Encoder, items: Sequence[Item], role: Role, normalise: bool) -> float:
    """Encodes each distinct item once, writes the array and then its voucher; returns the seconds it took."""
    began = time.perf_counter()
    place: dict[Item, int] = {}
    for item in items:
        place.setdefault(item, len(place))
    vectors = encoder.encode(list(place), role)[[place[item] for item in items]]
    lengths = vectors.norm(dim=1, keepdim=True)
    bad = (~lengths[:, 0].isfinite() | (lengths[:, 0] == 0 if normalise else False)).nonzero()
    if len(bad):
        item = str(items[int(bad[0])])[:60]
        raise BadInput(f"no usable vector for the {role} {item!r}; drop it or use another encoder")
    array = (vectors / lengths if normalise else vectors).numpy()
    took = time.perf_counter() - began
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    voucher = json.dumps({"sha256": _file_hash(unfinished), "seconds": took})
    unfinished.replace(path)
    unfinished.write_text(voucher)
    unfinished.replace(path.with_suffix(".json"))
    return took


def _vouched_seconds(path: Path) -> float | None:
    """What the shard took to encode, or None when it is missing or not what its voucher says."""
    voucher = path.with_suffix(".json")
    if not voucher.exists():
        return None
    try:
        said = json.loads(voucher.read_text())
        if said["sha256"] == _file_hash(path):
            return float(said["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    warnings.warn(f"{path}: damaged, so it is encoded again", stacklevel=2)
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
