"""What is exported, searched by LlamaIndex's in-memory store: `nox -s llama_index` installs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from bench.cli import main
from bench.ship.artefact import find_cell, open_artefact

pytest.importorskip("llama_index.core", reason="nox -s llama_index")
METHODS = ("none", "nudge-n", "adaptor[side=document,steps=40,batch=16]")
K = 10


@pytest.mark.parametrize("method", METHODS)
def test_it_finds_what_the_method_finds(
    method: str, toy_folder: Path, tiny_model: Path, tmp_path: Path, cache: Path, float32: None
) -> None:
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores import SimpleVectorStore, VectorStoreQuery

    asked = ["--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--methods", method, "--seeds", "0", "--keep"]
    for arguments in (
        ["run", *asked, "--out", str(tmp_path / "results")],
        ["export", f"{tmp_path / 'results'}:{method}", "--to", "npy", "--out", str(tmp_path / "out")],
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
    vectors, ids = np.load(tmp_path / "out" / "documents.npy"), json.loads((tmp_path / "out" / "ids.json").read_text())
    store = SimpleVectorStore()
    store.add([TextNode(id_=key, embedding=row.tolist()) for key, row in zip(ids, vectors, strict=True)])
    artefact = open_artefact(find_cell(f"{tmp_path / 'results'}:{method}"), torch.device("cpu"))
    own = artefact.tuned.search(artefact.test, len(ids))
    for query, rows, scores in zip(artefact.test.vectors, own.rows.tolist(), own.scores.tolist(), strict=True):
        found = store.query(VectorStoreQuery(query_embedding=query.tolist(), similarity_top_k=K)).ids
        score_of = {ids[row]: score for row, score in zip(rows, scores, strict=True)}
        assert [score_of[key] for key in found] == pytest.approx(scores[:K], abs=1e-4)
