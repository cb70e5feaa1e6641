"""What the cells of a run share: opened data sets and encoders, and the embedding store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar, get_args

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
from bench.embed.store import Cost, Embeddings, IdentifiedEncoder, PaidEncoder, Store
from bench.errors import BadInput
from bench.overlap import Overlap, clusters, overlap, wording
from bench.record import SCHEMA_VERSION
from bench.run.changes import Answered
from bench.score import DEPTH, score
from bench.spec import Cell
from methods import Chain, Corpus, Item, Method, Picture, Role, hyperparameters, parse, top_k

Progress = Callable[[str, int, int], None]
P = ParamSpec("P")
T = TypeVar("T")


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

    def __init__(self, device: torch.device, progress: Progress, *, trust_remote_code: bool = False) -> None:
        """`progress` is told what is being encoded, how many items more are done, and of how many.

        `trust_remote_code` lets encoders run the Python code that comes with them.
        """
        self.device = device
        self._trust_remote_code = trust_remote_code
        self.store = Store(cache_folder() / "embeddings")
        self._progress = progress
        self.load = _once(lru_cache(maxsize=1)(self._load))
        self.split = lru_cache(maxsize=16)(self._split)
        self.encoder = _once(lru_cache(maxsize=3)(self._encoder))
        self.embeddings = lru_cache(maxsize=4)(self._embeddings)
        self.untuned = lru_cache(maxsize=1)(self._untuned)
        self.told = lru_cache(maxsize=1)(self._told)

    def identity(self, cell: Cell) -> dict[str, Any]:
        """Everything that can change the cell's result.

        Raises:
            BadInput: when the data set or the encoder cannot be opened, or the data set not be split so.
        """
        dataset, encoder = self.load(cell.dataset, cell.limit).dataset, self.encoder(cell.encoder)
        recipe = default_recipe(dataset) if cell.split == "default" else cell.split
        self.split(cell.dataset, cell.limit, recipe, cell.seed)
        return {
            **self.asked(cell),
            "fingerprint": dataset.fingerprint,
            "split": recipe,
            "encoder_revision": encoder.revision,
            "encoder_settings": ", ".join(
                f"{name} {value}" for name, value in encoder.settings.items() if name not in {"encoder", "revision"}
            ),
        }

    def asked(self, cell: Cell) -> dict[str, Any]:
        """As much of its identity as is known before its data set and its encoder are opened."""
        method = parse(cell.method)
        return {
            "schema": SCHEMA_VERSION,
            "dataset": cell.dataset,
            "fingerprint": "",
            "split": cell.split,
            "limit": cell.limit,
            "encoder": cell.encoder,
            "encoder_revision": "",
            "encoder_settings": "",
            "method": cell.method,
            "method_version": _version(method),
            "hyperparameters": hyperparameters(method),
            "seed": cell.seed,
            "accelerator": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type,
            "threads": torch.get_num_threads(),
        }

    def costs(self, cells: Iterable[Cell]) -> dict[PaidEncoder, Cost]:
        """About what each encoder that charges would charge for what the cells need and the store has not.

        Raises:
            BadInput: when it cannot encode such items.
        """
        costs: dict[PaidEncoder, Cost] = {}
        for name, limit, encoder_name in dict.fromkeys((cell.dataset, cell.limit, cell.encoder) for cell in cells):
            encoder = self.encoder(encoder_name)
            if isinstance(encoder, PaidEncoder):
                for role in get_args(Role):
                    items = self._items(name, limit, role)
                    for some in self.store.missing(encoder, items, role, normalise=role == "document"):
                        costs[encoder] = costs.get(encoder, Cost(0, 0.0)) + encoder.price(some)
        return costs

    def corpus(self, cell: Cell) -> tuple[Corpus, float]:
        """The documents with their vectors, and what encoding them took, in seconds."""
        loaded = self.load(cell.dataset, cell.limit)
        embedded = self.embeddings(cell.dataset, cell.limit, cell.encoder, "document")
        return Corpus(loaded.dataset.documents, embedded.shards, loaded.priority), embedded.seconds

    def query_vectors(self, cell: Cell) -> tuple[Tensor, float]:
        """(m, d) of all judged queries, and what encoding them took, in seconds."""
        embedded = self.embeddings(cell.dataset, cell.limit, cell.encoder, "query")
        return embedded.in_memory(), embedded.seconds

    def _wording_vectors(self, cell: Cell) -> Tensor | None:
        """(m, 384) of all judged queries under the encoder by which wordings are compared.

        None when it is not installed, or there are pictures among them.
        """
        if any(isinstance(item, Picture) for item in self.load(cell.dataset, cell.limit).dataset.queries):
            return None
        try:
            self.encoder("minilm")
        except BadInput:
            return None
        return self.embeddings(cell.dataset, cell.limit, "minilm", "query").in_memory()

    def _untuned(self, cell: Cell) -> Answered:
        """What the vectors of the encoder find for the test queries of a cell whose split is not "default"."""
        dataset = self.load(cell.dataset, cell.limit).dataset
        rows = torch.from_numpy(self.split(cell.dataset, cell.limit, cell.split, cell.seed).test)
        vectors = self.query_vectors(cell)[0][rows]
        found = top_k(vectors, self.corpus(cell)[0], DEPTH, exclude=dataset.exclude.take(rows), device=self.device)
        return Answered.scored(found, score(found, dataset.qrels.take(rows)))

    def _told(self, cell: Cell) -> tuple[Overlap, pd.DataFrame]:
        """What train queries have told of the test queries of a cell whose split is not "default".

        Returns:
            It, and a row a test query: its id, its cluster and what has been told of it.
        """
        dataset = self.load(cell.dataset, cell.limit).dataset
        split = self.split(cell.dataset, cell.limit, cell.split, cell.seed)
        vectors, n = self._wording_vectors(cell), len(dataset.documents)
        train, test = (dataset.qrels.take(torch.from_numpy(rows)) for rows in (split.train, split.test))
        if vectors is None:
            told, near = overlap(train, test, n), np.full(len(split.test), np.nan)
        else:
            sides = vectors[split.train], vectors[split.test]
            told, near = overlap(train, test, n, *sides), wording(*sides)
        clustered = clusters(dataset.qrels, n)[split.test].tolist()
        about = {
            "query_id": [dataset.query_ids[row] for row in split.test],
            "cluster": [dataset.document_ids[row] for row in clustered],
            "seen": told.seen,
            "seen_fraction": told.seen_fraction,
            "nearest": told.nearest,
            "wording": near,
        }
        return told, pd.DataFrame(about)

    def _load(self, name: str, limit: int | None) -> Loaded:
        began = time.perf_counter()
        dataset = open_dataset(name, limit)
        return Loaded(dataset, tie_order(dataset.document_ids), time.perf_counter() - began)

    def _split(self, name: str, limit: int | None, recipe: Recipe, seed: int) -> Split:
        return split_queries(self.load(name, limit).dataset, recipe, seed)

    def _encoder(self, name: str) -> IdentifiedEncoder:
        return open_encoder(name, str(self.device), trust_remote_code=self._trust_remote_code)

    def _items(self, name: str, limit: int | None, role: Role) -> Sequence[Item]:
        dataset = self.load(name, limit).dataset
        return dataset.documents if role == "document" else dataset.queries

    def _embeddings(self, name: str, limit: int | None, encoder: str, role: Role) -> Embeddings:
        items = self._items(name, limit, role)
        what = f"{name}, {'documents' if role == 'document' else 'queries'} by {encoder}"
        return self.store.embed(
            self.encoder(encoder),
            items,
            role,
            normalise=role == "document",
            progress=lambda done: self._progress(what, done, len(items)),
        )


def _once(opened: Callable[P, T]) -> Callable[P, T]:
    """The same, but what cannot be opened is not tried again: a server that does not answer takes its time to fail."""
    problems: dict[object, BadInput] = {}

    def open_or_fail(*arguments: P.args, **named: P.kwargs) -> T:
        if arguments in problems:
            raise problems[arguments]
        try:
            return opened(*arguments, **named)
        except BadInput as problem:
            problems[arguments] = problem
            raise

    return open_or_fail


def tie_order(document_ids: Sequence[str]) -> NDArray[np.int64]:
    """The order among equal scores: by a keyed hash of the document id, which no order of the rows can leak into."""
    hashes = pd.util.hash_array(np.array(document_ids, dtype=object), hash_key="tunebench/ties/1")
    priority = np.empty(len(hashes), dtype=np.int64)
    priority[np.argsort(hashes, kind="stable")] = np.arange(len(hashes))
    return priority


def _version(method: Method) -> int:
    """The method's version; of a chain their sum, which rises when one of them does."""
    return sum(map(_version, method.links)) if isinstance(method, Chain) else method.version
