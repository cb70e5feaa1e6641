"""What a method has learnt, in the form in which a server reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bench.embed.sentence import SentenceEncoder
from bench.errors import BadInput
from bench.names import MAIN
from bench.score import DEPTH, score
from bench.ship.artefact import Artefact
from bench.ship.card import Measured, card
from bench.whole import check_new, make_whole
from methods import Layer, ProblemError, VectorTuned, label, layers

Target = Literal["faiss", "npy", "parquet", "sentence-transformers"]
BLOCK = 8_192  # documents at a time


@dataclass(frozen=True)
class Documents:
    """The documents that are written.

    Attributes:
        ids: the n ids.
        d: dimensions.
        blocks: gives their vectors in order, each (≤ `BLOCK`, d) float32.
    """

    ids: Sequence[str]
    d: int
    blocks: Callable[[], Iterator[NDArray[np.float32]]]


def check_target(to: Target, *, patch: bool) -> None:
    """Raises BadInput when a target's package is missing, or it cannot hold a patch."""
    if to == "faiss" and find_spec("faiss") is None:
        raise BadInput("faiss is not installed; pip install 'tunebench[faiss]', or export --to npy")
    if to == "faiss" and patch:
        raise BadInput("an index is whole; leave --patch out, or export --to npy or parquet")


def export(artefact: Artefact, to: Target, out: Path, *, patch: bool, command: str) -> Measured:
    """Writes a folder for a server, with a card.

    Args:
        artefact: what to write.
        to: the form of the documents; "sentence-transformers" writes them as "npy", and a model for the queries.
        out: the folder.
        patch: whether only the documents are written that are elsewhere than the encoder puts them.
        command: that was given, for the card.

    Returns:
        How good it is on the cell's test queries.

    Raises:
        BadInput: when the method does not search by vectors, cannot be written in that form, or `out` exists.
    """
    tuned, name = artefact.tuned, label(artefact.method)
    if not isinstance(tuned, VectorTuned):
        problem = f"{name} has a search of its own, which no index of vectors can do"
        raise BadInput(f"{problem}; serve what `tunebench run --keep` keeps by `Method.load` and `Tuned.search`")
    check_new(out)
    check_target(to, patch=patch)
    try:
        steps = [] if tuned.query_map is None else layers(tuned.query_map.cpu(), artefact.problem.corpus.d)
    except ProblemError as error:
        raise BadInput(f"{name}: {error}") from None
    documents = _documents(name, tuned, artefact.known.document_ids, patch=patch)
    write_queries = (
        _model(artefact, tuned, steps) if to == "sentence-transformers" else partial(_query_map, tuned, steps)
    )
    measured = Measured(
        now=float(score(tuned.search(artefact.test, DEPTH), artefact.test.relevant)[MAIN].mean()),
        recorded=float(str(artefact.named.record.metrics[MAIN])),
    )

    def write(folder: Path) -> None:
        WRITERS[to](documents, folder)
        write_queries(folder)
        longer = documents.d - artefact.problem.corpus.d if patch else None
        about = card(artefact, measured, [path.name for path in folder.iterdir()], command, longer)
        (folder / "README.md").write_text(about, encoding="utf-8")

    make_whole(out, write)
    return measured


def _documents(name: str, tuned: VectorTuned, ids: Sequence[str], *, patch: bool) -> Documents:
    corpus = tuned.corpus
    if not patch:
        return Documents(
            ids, corpus.d, lambda: (block.numpy() for _, block in corpus.blocks(torch.device("cpu"), BLOCK))
        )
    if tuned.vectors is not None:
        raise BadInput(f"{name} gives every document a new vector; leave --patch out")
    moved = tuned.moved
    if moved is None or not len(moved.rows):
        raise BadInput(f"{name} moves no document; leave --patch out")
    return Documents(
        [ids[row] for row in moved.rows.tolist()],
        corpus.d,
        lambda: (some.numpy() for some in moved.vectors.split(BLOCK)),
    )


def _faiss(documents: Documents, folder: Path) -> None:
    import faiss

    index = faiss.IndexFlatIP(documents.d)
    for block in documents.blocks():
        index.add(np.ascontiguousarray(block))
    faiss.write_index(index, str(folder / "index.faiss"))
    _ids(documents, folder)


def _npy(documents: Documents, folder: Path) -> None:
    shape, at = (len(documents.ids), documents.d), 0
    written = np.lib.format.open_memmap(folder / "documents.npy", "w+", np.float32, shape)
    for block in documents.blocks():
        written[at : at + len(block)] = block
        at += len(block)
    written.flush()
    _ids(documents, folder)


def _ids(documents: Documents, folder: Path) -> None:
    (folder / "ids.json").write_text(json.dumps(list(documents.ids), ensure_ascii=False) + "\n", encoding="utf-8")


def _parquet(documents: Documents, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, at = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), documents.d))]), 0
    with pq.ParquetWriter(folder / "documents.parquet", schema, compression="zstd") as writer:
        for block in documents.blocks():
            ids = pa.array(documents.ids[at : at + len(block)], pa.string())
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), documents.d)
            writer.write_table(pa.table([ids, vectors], schema=schema))
            at += len(block)


def _query_map(tuned: VectorTuned, steps: Sequence[Layer], folder: Path) -> None:
    """What queries go through: the encoder when it is another, and the map as numpy knows it."""
    if tuned.encoder is not None:
        tuned.encoder.save(folder / "encoder")
    if steps:
        arrays = {f"{number}.{name}": value for number, step in enumerate(steps) for name, value in vars(step).items()}
        flat = {name: np.asarray(value) for name, value in arrays.items()}
        np.savez(folder / "query_map.npz", **flat)  # type: ignore[arg-type]  # none of them is called allow_pickle
        shutil.copy(Path(__file__).with_name("_query_map.py"), folder / "query_map.py")


def _model(artefact: Artefact, tuned: VectorTuned, steps: Sequence[Layer]) -> Callable[[Path], None]:
    """Writes a model whose `encode_query` gives queries as they are searched with, documents as it always did.

    Raises:
        BadInput: when the encoder is not one of sentence-transformers.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Module, Normalize, Router

    encoder = tuned.encoder or artefact.encoder
    if not isinstance(encoder, SentenceEncoder):
        raise BadInput(f"{artefact.named.record.encoder} is no model of sentence-transformers; export --to npy")
    mapped: list[Module] = []
    for step in steps:
        out, d = step.weight.shape
        activation = torch.nn.GELU() if step.gelu else torch.nn.Identity()
        dense = Dense(d, out, activation_function=activation, init_weight=step.weight, init_bias=step.bias)
        mapped += [Normalize(), dense] if step.unit else [dense]
    model = encoder.model
    whole = SentenceTransformer(
        modules=[*model, *([Router.for_query_document(mapped, [])] if mapped else [])],
        prompts={name: prompt for name, prompt in model.prompts.items() if prompt is not None},
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name="dot",
        device="cpu",
    )
    return lambda folder: whole.save_pretrained(str(folder / "model"), safe_serialization=True)


WRITERS: Mapping[Target, Callable[[Documents, Path], None]] = {
    "faiss": _faiss,
    "npy": _npy,
    "parquet": _parquet,
    "sentence-transformers": _npy,
}
