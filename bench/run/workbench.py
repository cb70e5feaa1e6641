"""What the cells of a run share: opened data sets and encoders, and the embedding store."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.cache import cache_folder
from bench.data.catalogue import open_dataset
from bench.data.dataset import Dataset
from bench.data.split import Recipe, Split, default_recipe, split_queries
from bench.embed.encoders import open_encoder
from bench.embed.store import Embeddings, IdentifiedEncoder, Store
from bench.errors import BadInput
from bench.record import SCHEMA_VERSION
from bench.spec import Cell
from methods import Chain, Corpus, Item, Method, Role, hyperparameters, parse

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Loaded:
    """A data set as it was loaded, with the tie-breaking order of its documents and the seconds that loading took."""

    dataset: Dataset
    priority: NDArray[np.int64]
    seconds: float


class Workbench:
    """Opens each data set, encoder and set of embeddings once for the cells that follow one another.

    Attributes:
        device: where encoders, methods and search compute.
        store: of embeddings.
    """

    def __init__(self, device: torch.device, progress: Progress) -> None:
        """`progress` is told what is being encoded, how many items more are done, and of how many."""
        self.device = device
        self.store = Store(cache_folder() / "embeddings")
        self._progress = progress
        self.load = lru_cache(maxsize=1)(self._load)
        self.split = lru_cache(maxsize=None)(self._split)
        self.encoder = lru_cache(maxsize=None)(self._encoder)
        self.embeddings = lru_cache(maxsize=4)(self._embeddings)

    def identity(self, cell: Cell) -> dict[str, Any]:
        """Everything that can change the cell's result.

        Raises:
            BadInput: when the data set or the encoder cannot be opened, or the data set not be split so.
        """
        dataset = self.load(cell.dataset, cell.limit).dataset
        recipe = default_recipe(dataset) if cell.split == "default" else cell.split
        self.split(cell.dataset, cell.limit, recipe, cell.seed)
        method = parse(cell.method)
        return {
            "schema": SCHEMA_VERSION,
            "dataset": cell.dataset,
            "fingerprint": dataset.fingerprint,
            "split": recipe,
            "limit": cell.limit,
            "encoder": cell.encoder,
            "encoder_revision": self.encoder(cell.encoder).revision,
            "method": cell.method,
            "method_version": _version(method),
            "hyperparameters": hyperparameters(method),
            "seed": cell.seed,
            "accelerator": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type,
            "threads": torch.get_num_threads(),
        }

    def corpus(self, cell: Cell) -> tuple[Corpus, float]:
        """The documents with their vectors, and what encoding them took, in seconds."""
        loaded = self.load(cell.dataset, cell.limit)
        embedded = self.embeddings(cell.dataset, cell.limit, cell.encoder, "document")
        return Corpus(loaded.dataset.documents, embedded.shards, loaded.priority), embedded.seconds

    def query_vectors(self, cell: Cell) -> tuple[Tensor, float]:
        """(m, d) of all judged queries, and what encoding them took, in seconds."""
        embedded = self.embeddings(cell.dataset, cell.limit, cell.encoder, "query")
        return embedded.in_memory(), embedded.seconds

    def wording_vectors(self, cell: Cell) -> Tensor | None:
        """(m, 384) of all judged queries under the encoder by which wordings are compared, if it is installed."""
        try:
            self.encoder("minilm")
        except BadInput:
            return None
        return self.embeddings(cell.dataset, cell.limit, "minilm", "query").in_memory()

    def _load(self, name: str, limit: int | None) -> Loaded:
        began = time.perf_counter()
        dataset = open_dataset(name, limit)
        return Loaded(dataset, _priority(dataset), time.perf_counter() - began)

    def _split(self, name: str, limit: int | None, recipe: Recipe, seed: int) -> Split:
        return split_queries(self.load(name, limit).dataset, recipe, seed)

    def _encoder(self, name: str) -> IdentifiedEncoder:
        return open_encoder(name, str(self.device))

    def _embeddings(self, name: str, limit: int | None, encoder: str, role: Role) -> Embeddings:
        dataset = self.load(name, limit).dataset
        items: tuple[Item, ...] = tuple(dataset.documents if role == "document" else dataset.queries)
        what = f"{name}, {'documents' if role == 'document' else 'queries'} by {encoder}"
        return self.store.embed(
            self.encoder(encoder),
            items,
            role,
            normalise=role == "document",
            progress=lambda done: self._progress(what, done, len(items)),
        )


def _priority(dataset: Dataset) -> NDArray[np.int64]:
    """The order among equal scores: by a keyed hash of the document id, which no order of the rows can leak into."""
    hashes = pd.util.hash_array(np.array(dataset.document_ids, dtype=object), hash_key="tunebench/ties/1")
    priority = np.empty(len(hashes), dtype=np.int64)
    priority[np.argsort(hashes, kind="stable")] = np.arange(len(hashes))
    return priority


def _version(method: Method) -> int:
    """The method's version; of a chain their sum, which rises when one of them does."""
    return sum(map(_version, method.links)) if isinstance(method, Chain) else method.version
