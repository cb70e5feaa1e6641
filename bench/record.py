"""The record of one cell: its schema, and the only place that reads or writes it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import AcquireReturnProxy, FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.changes import Changes
from bench.errors import BadInput, Mended, first_fault
from bench.names import SCRATCH
from bench.whole import remove_unfinished, set_aside, write_whole, writing

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
OF_METHOD = ("method", "method_version", "hyperparameters")  # in an identity
PARQUET = b"PAR1"  # how such a file ends
Scores = dict[str, float]


class Record(BaseModel):
    """What one cell did: `dataset`, `encoder`, `method` and `seed` name it, `identity` tells it from every other.

    Attributes:
        status: `ok` has metrics; `failed` and `skipped` have a `reason`.
        identity: everything that can change the result, as plain JSON; its SHA-256 names the files.
        metrics: means over the test queries, overall scalars first ("ndcg@10", …), then one mapping for each
            subset of the queries ("seen", "unseen") and one of mappings by bucket ("nearest"); every subset
            carries its number of queries as "queries".
        seconds: wall-clock by phase: load, encode, fit, reencode, search, score. `load` and `encode` are
            shared by the cells of one data set, and repeat what they took when they were cold.
        fit_seconds: fit + reencode, what it takes to go from embeddings to a tuned index.
        counts: documents, queries by split, optimiser steps, encodes, touched documents, …
        memory: peak bytes, `rss` and, on a GPU, `device`.
        environment: versions, commit, processor.
        chosen: the hyperparameters that the method chose, or that were chosen by trial; of a chain, under "links",
            those of each link.
        curves: what the method logged, each name with a list of values, be it a single one.
        notes: what a reader of the metrics should know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    dataset: str
    encoder: str
    method: str
    seed: int
    status: Literal["ok", "failed", "skipped"]
    reason: str | None = None
    metrics: dict[str, float | Scores | dict[str, Scores]] = {}
    seconds: dict[str, float] = {}
    fit_seconds: float | None = None
    counts: dict[str, int] = {}
    memory: dict[str, int] = {}
    environment: dict[str, str | int] = {}
    chosen: dict[str, Any] = {}
    curves: dict[str, list[float]] = {}
    notes: list[str] = []
    identity: dict[str, Any]

    @property
    def place(self) -> tuple[Any, ...]:
        """What names a cell on its machine, whatever version of the data and the encoder it ran with."""
        shared = ("dataset", "limit", "encoder", "method", "seed", "accelerator", "threads")
        return tuple(self.identity[name] for name in shared)


def cell_id(identity: dict[str, Any]) -> str:
    """The SHA-256 of an identity's canonical JSON, in hex: the name of its files and of its run."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class Results:
    """A results folder: `records/<cell id>.json` and, beside the `ok` ones, `per_query/<cell id>.parquet`.

    Where a method changed something, `changes/<cell id>.json` shows a little of it; no result depends on that file.
    """

    folder: Path

    def write(self, record: Record, per_query: pd.DataFrame | None, changes: Changes | None = None) -> None:
        """Writes the scores and the changes, then the record that vouches for them, each whole or not at all."""
        if per_query is not None:
            write_whole(self.per_query(record), per_query.to_parquet(index=False, compression="zstd"))
        if changes is not None:
            write_whole(self.changes(record), changes.model_dump_json().encode() + b"\n")
        write_whole(self.path(record.identity), record.model_dump_json(indent=1).encode() + b"\n")
        if per_query is None:
            self.per_query(record).unlink(missing_ok=True)
        if changes is None:
            self.changes(record).unlink(missing_ok=True)

    def find(self, identity: dict[str, Any]) -> Record | None:
        """The record of the cell with this identity, or None when it has not run.

        One that cannot be read is set aside with a warning, as `<name>.damaged`.
        """
        path = self.path(identity)
        try:
            return Record.model_validate_json(path.read_bytes()) if path.exists() else None
        except ValidationError as error:
            set_aside(path, f"damaged ({first_fault(error)})", "the cell runs again")
            return None

    def forget_repaired(self) -> None:
        """Removes failed records of cells that have since been done, on data or an encoder that was mended for it."""
        found = list(self.records())
        splits = [(record, split) for record in found for split in (record.identity["split"], "default")]
        done = {(record.place, split) for record, split in splits if record.status == "ok"}
        for record in found:
            if record.status == "failed" and (record.place, record.identity["split"]) in done:
                self.path(record.identity).unlink()

    def has_scores(self, record: Record) -> bool:
        """Whether the scores of an `ok` cell are there; warns when they are not, or not to their end."""
        path = self.per_query(record)
        with suppress(OSError), path.open("rb") as file:
            file.seek(-len(PARQUET), os.SEEK_END)
            if file.read() == PARQUET:
                return True
        warnings.warn(f"{path}: missing or damaged, so its cell runs again", Mended, stacklevel=2)
        return False

    def tidy(self) -> None:
        """Removes what killed runs have left half written; only when no run is at work here."""
        for kept in ("", "records", "per_query", "changes", "artefacts", "figures"):
            remove_unfinished(self.folder / kept)

    def records(self) -> Iterator[Record]:
        """All records, in an order that depends on their identities alone.

        Raises:
            BadInput: when there is none, or one cannot be read.
        """
        paths = sorted((self.folder / "records").glob("*.json"))
        if not paths:
            raise BadInput(f"{self.folder}: holds no records; `tunebench run … --out {self.folder}` writes them")
        return (_read(path) for path in paths)

    def scratch(self, identity: dict[str, Any]) -> Path:
        """What chains that begin alike share while they run on the same problem, and what a killed one leaves."""
        rest = {name: value for name, value in identity.items() if name not in OF_METHOD}
        links = identity["hyperparameters"].get("links") or [identity["hyperparameters"]]
        return self.folder / SCRATCH / cell_id({**rest, "first link": links[0]})

    def claimed(self, identity: dict[str, Any]) -> AbstractContextManager[object]:
        """Waits until no other process is at a cell that shares its scratch folder, and keeps them from it meanwhile.

        What is locked is free again when its process ends, however it does.
        """
        return _locked(self.scratch(identity))

    def clear_scratch(self, identity: dict[str, Any]) -> None:
        """Removes what was shared, unless another run is at it, which will."""
        scratch = self.scratch(identity)
        with suppress(Timeout), _locked(scratch, timeout=0):
            shutil.rmtree(scratch, ignore_errors=True)
            _lock(scratch).unlink(missing_ok=True)
        with suppress(OSError):  # it is not empty
            scratch.parent.rmdir()

    def has_scratch(self) -> bool:
        """Whether a killed run has left something to go on from, or another run is at work."""
        return (self.folder / SCRATCH).exists()

    def log(self, identity: dict[str, Any]) -> Path:
        """Where what a cell printed is, if it did."""
        return self.folder / "logs" / f"{cell_id(identity)}.log"

    def artefact(self, identity: dict[str, Any]) -> Path:
        """Where what the method of this cell has learnt is, if it was kept: a folder as `Tuned.save` writes it."""
        return self.folder / "artefacts" / cell_id(identity)

    def path(self, identity: dict[str, Any]) -> Path:
        """Where the record of the cell with this identity is, if it has run."""
        return self.folder / "records" / f"{cell_id(identity)}.json"

    def per_query(self, record: Record) -> Path:
        """Where the scores of an `ok` cell are: a Parquet file with a row a test query."""
        return self.folder / "per_query" / f"{cell_id(record.identity)}.parquet"

    def changes(self, record: Record) -> Path:
        """Where `read_changes` finds what an `ok` cell has changed, if anything is known of it."""
        return self.folder / "changes" / f"{cell_id(record.identity)}.json"


def _lock(scratch: Path) -> Path:
    return scratch.with_suffix(".lock")


def _locked(scratch: Path, timeout: float = -1) -> AcquireReturnProxy[FileLock]:
    lock = _lock(scratch)
    while True:
        with writing(lock.parent), suppress(FileNotFoundError):  # another run has just removed the empty folder
            lock.parent.mkdir(parents=True, exist_ok=True)
            return FileLock(lock).acquire(timeout)


def _read(path: Path) -> Record:
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadInput(f"{path}: {first_fault(error)}; delete the file, and the cell runs again") from None
