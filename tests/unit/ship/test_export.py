"""What is exported finds what the method finds: read by faiss, numpy, Parquet and sentence-transformers themselves."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from shipped import METHODS, Invoke

from bench.ship.artefact import Artefact, find_cell, open_artefact
from methods import ProblemError, layers

VECTORS = [name for name in METHODS if name != "bm25"]
ALL = pytest.mark.parametrize("method", VECTORS)
K = 10


def opened(kept: Path, method: str) -> Artefact:
    return open_artefact(find_cell(f"{kept}:{method}"), torch.device("cpu"))


def same_ranking(artefact: Artefact, ids: list[list[str]]) -> None:
    """At each rank stands a document that the method itself scores as its own document at that rank."""
    row_of = artefact.known.row_of
    own = artefact.tuned.search(artefact.test, len(row_of))
    for found, rows, scores in zip(ids, own.rows.tolist(), own.scores.tolist(), strict=True):
        score_of = dict(zip(rows, scores, strict=True))
        assert len(set(found)) == K
        assert [score_of[row_of[key]] for key in found] == pytest.approx(scores[:K], abs=1e-4)


def queries_of(out: Path, artefact: Artefact) -> np.ndarray:
    """Test queries as a server would map them: by what was exported alone."""
    encoder = artefact.encoder.reopened(out / "encoder") if (out / "encoder").exists() else artefact.encoder
    vectors = encoder.encode(list(artefact.test.items), "query").numpy()
    if not (out / "query_map.py").exists():
        return vectors
    spec = importlib.util.spec_from_file_location(f"query_map_{out.name}", out / "query_map.py")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.query_map(vectors)


def ids_of(out: Path) -> list[str]:
    return json.loads((out / "ids.json").read_text())


@ALL
def test_faiss_finds_what_the_method_finds(method: str, kept: Path, tmp_path: Path, invoke: Invoke) -> None:
    out = tmp_path / "out"
    invoke("export", f"{kept}:{method}", "--to", "faiss", "--out", out)
    artefact, ids = opened(kept, method), ids_of(out)
    index = faiss.read_index(str(out / "index.faiss"))
    _, rows = index.search(queries_of(out, artefact), K)
    same_ranking(artefact, [[ids[row] for row in found] for found in rows.tolist()])


@ALL
@pytest.mark.parametrize("to", ["npy", "parquet"])
def test_arrays_find_what_the_method_finds(method: str, to: str, kept: Path, tmp_path: Path, invoke: Invoke) -> None:
    out = tmp_path / "out"
    invoke("export", f"{kept}:{method}", "--to", to, "--out", out)
    artefact = opened(kept, method)
    if to == "npy":
        documents, ids = np.load(out / "documents.npy"), ids_of(out)
    else:
        table = pq.read_table(out / "documents.parquet")
        documents, ids = np.array(table["vector"].to_pylist(), np.float32), table["id"].to_pylist()
    order = np.argsort(-(queries_of(out, artefact) @ documents.T), axis=1, kind="stable")[:, :K]
    same_ranking(artefact, [[ids[row] for row in found] for found in order.tolist()])


@ALL
def test_sentence_transformers_finds_what_the_method_finds(
    method: str, kept: Path, tmp_path: Path, invoke: Invoke
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import dot_score, semantic_search

    out = tmp_path / "out"
    invoke("export", f"{kept}:{method}", "--to", "sentence-transformers", "--out", out)
    artefact, ids = opened(kept, method), ids_of(out)
    model = SentenceTransformer(str(out / "model"), device="cpu")
    queries = model.encode_query(list(map(str, artefact.test.items)), convert_to_tensor=True)
    documents = torch.from_numpy(np.load(out / "documents.npy"))
    found = semantic_search(queries, documents, top_k=K, score_function=dot_score)
    same_ranking(artefact, [[ids[hit["corpus_id"]] for hit in hits] for hits in found])
    plain = SentenceTransformer(str(find_encoder(artefact)), device="cpu")
    if "full-finetune" not in method:
        text = ["some words"]
        assert np.allclose(model.encode_document(text), plain.encode_document(text), atol=1e-6), "documents as ever"


def find_encoder(artefact: Artefact) -> Path:
    return Path(artefact.named.record.encoder.removeprefix("st:"))


@pytest.mark.parametrize("method", ["nudge-m", "nudge-n", "nudge-loo"])
@pytest.mark.parametrize("to", ["npy", "parquet"])
def test_a_patch_over_the_encoders_vectors_is_the_whole(
    method: str, to: str, kept: Path, tmp_path: Path, invoke: Invoke
) -> None:
    invoke("export", f"{kept}:{method}", "--to", to, "--out", tmp_path / "patch", "--patch")
    invoke("export", f"{kept}:{method}", "--to", "npy", "--out", tmp_path / "whole")
    whole, ids = np.load(tmp_path / "whole" / "documents.npy"), ids_of(tmp_path / "whole")
    if to == "npy":
        moved = dict(zip(ids_of(tmp_path / "patch"), np.load(tmp_path / "patch" / "documents.npy"), strict=True))
    else:
        moved = {
            row["id"]: np.array(row["vector"], np.float32)
            for row in pq.read_table(tmp_path / "patch" / "documents.parquet").to_pylist()
        }
    artefact = opened(kept, method)
    assert 0 < len(moved) < len(ids)
    base = artefact.problem.corpus.rows(torch.arange(len(ids))).numpy()
    patched = np.pad(base, ((0, 0), (0, whole.shape[1] - base.shape[1])))
    for key, vector in moved.items():
        patched[ids.index(key)] = vector
    assert np.array_equal(patched, whole)
    assert "A patch: all other documents" in (tmp_path / "patch" / "README.md").read_text()


def test_the_card_says_where_it_comes_from(kept: Path, tmp_path: Path, invoke: Invoke) -> None:
    printed = invoke("export", f"{kept}:nudge-n", "--to", "npy", "--out", tmp_path / "out").stdout
    record = find_cell(f"{kept}:nudge-n").record
    card = (tmp_path / "out" / "README.md").read_text()
    for text in (
        "# nudge-n on folder:",
        record.identity["fingerprint"],
        f"gamma {record.chosen['gamma']}",
        f"NDCG@10 {record.metrics['ndcg@10']:.4f} on 12 test queries",
        "`documents.npy`",
        "`ids.json`",
        "licence | of the data: yours; of the encoder: its own",
        f"tunebench export {kept}:nudge-n --to npy",
        "tunebench run --datasets",
    ):
        assert text in card, text
    assert "none: 0." in card
    assert "the cell's record" not in card
    assert f"NDCG@10 {record.metrics['ndcg@10']:.4f}, written to" in printed


def test_what_was_not_kept_is_fitted_again(kept: Path, tmp_path: Path, invoke: Invoke) -> None:
    import shutil

    copy = tmp_path / "results"
    shutil.copytree(kept, copy, ignore=shutil.ignore_patterns("artefacts"))
    for method in ("nudge-n", "adaptor[steps=40,batch=16]"):
        for folder in (kept, copy):
            invoke("export", f"{folder}:{method}", "--to", "npy", "--out", tmp_path / f"{folder.parent.name}{method}")
    for method in ("nudge-n", "adaptor[steps=40,batch=16]"):
        first, second = (tmp_path / f"{folder.parent.name}{method}" for folder in (kept, copy))
        assert np.array_equal(np.load(first / "documents.npy"), np.load(second / "documents.npy"))
    first, second = (np.load(p / "query_map.npz") for p in (first, second))
    assert np.array_equal(first["0.weight"], second["0.weight"])


def test_a_record_names_its_cell_too(kept: Path, tmp_path: Path, invoke: Invoke) -> None:
    record = find_cell(f"{kept}:nudge-n").record
    path = next(path for path in (kept / "records").glob("*.json") if f'"{record.method}"' in path.read_text())
    out = json.loads(invoke("export", path, "--to", "npy", "--out", tmp_path / "out", "--json").stdout)
    assert out["files"] == ["README.md", "documents.npy", "ids.json"]
    assert out["now"] == pytest.approx(out["recorded"]) == record.metrics["ndcg@10"]


@pytest.mark.parametrize("kind", ["linear", "mlp", "lengthened", "chain"])
def test_layers_do_what_the_module_does(kind: str) -> None:
    from methods._maps import Lengthened, Residual, identity_layer

    torch.manual_seed(3)
    d = 7
    lengthened = Lengthened()
    lengthened.on.fill_(True)
    linear, residual = identity_layer(d), Residual(d)
    for parameter in (*linear.parameters(), *residual.parameters()):
        torch.nn.init.normal_(parameter)
    module = {
        "linear": linear,
        "mlp": residual,
        "lengthened": lengthened,
        "chain": torch.nn.Sequential(linear, residual, lengthened),
    }[kind]
    queries = torch.randn(50, d)
    mapped = queries
    for step in layers(module, d):
        mapped = mapped / mapped.norm(dim=1, keepdim=True) if step.unit else mapped
        mapped = mapped @ step.weight.T + step.bias
        mapped = torch.nn.functional.gelu(mapped) if step.gelu else mapped
    expected = module(queries).detach()
    if kind in {"lengthened", "chain"}:  # for queries of unit length: the same direction
        mapped, expected = (torch.nn.functional.normalize(each, dim=1) for each in (mapped, expected))
    assert torch.allclose(mapped, expected, atol=1e-4, rtol=1e-4)


def test_a_module_of_others_is_not_taken_for_one_of_ours() -> None:
    with pytest.raises(ProblemError, match="Tanh cannot be written"):
        layers(torch.nn.Sequential(torch.nn.Tanh()), 4)


BAD: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "no such method": (lambda kept: [f"{kept}:nudge-x"], "unknown method 'nudge-x'; did you mean"),
    "no such folder": (lambda kept: [f"{kept}x:nudge-n"], "holds no records"),
    "neither": (lambda kept: [kept / "nothing"], "write DIR:METHOD"),
    "own search": (lambda kept: [f"{kept}:bm25"], "bm25 has a search of its own"),
    "nothing to patch": (lambda kept: [f"{kept}:none", "--patch"], "none moves no document"),
    "all new": (lambda kept: [f"{kept}:adaptor[kind=ridge,side=both]", "--patch"], "every document a new vector"),
    "not a record": (lambda kept: [kept / "leaderboard.json"], "not the record of a cell"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_exported_is_refused_in_a_line(case: str, kept: Path, tmp_path: Path, invoke: Invoke) -> None:
    arguments, message = BAD[case]
    result = invoke("export", *arguments(kept), "--to", "npy", "--out", tmp_path / "out", code=2)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_before_anything_is_opened(
    kept: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.ship.export.find_spec", lambda name: None)
    result = invoke("export", "nowhere:none", "--to", "faiss", "--out", tmp_path / "out", code=2)
    assert "faiss is not installed; pip install 'tunebench[faiss]'" in result.stderr


def test_nothing_is_overwritten(kept: Path, tmp_path: Path, invoke: Invoke) -> None:
    (tmp_path / "mine").write_text("mine")
    result = invoke("export", f"{kept}:nudge-n", "--to", "npy", "--out", tmp_path, code=2)
    assert "exists already" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("changed", ["data", "encoder", "version"])
def test_other_data_another_encoder_or_version_is_refused(
    changed: str, kept: Path, tmp_path: Path, invoke: Invoke
) -> None:
    record = find_cell(f"{kept}:nudge-n").record
    name = {"data": "fingerprint", "encoder": "encoder_revision", "version": "method_version"}[changed]
    other = record.model_copy(update={"identity": {**record.identity, name: 99}})
    path = tmp_path / "records" / "other.json"
    path.parent.mkdir()
    path.write_text(other.model_dump_json())
    result = invoke("export", path, "--to", "npy", "--out", tmp_path / "out", code=2)
    assert "changed since this cell ran (99 then, " in result.stderr
    assert "run the cell again" in result.stderr
    assert not (tmp_path / "out").exists()


def test_damaged_artefacts_are_named(kept: Path, tmp_path: Path, invoke: Invoke) -> None:
    import shutil

    copy = tmp_path / "results"
    shutil.copytree(kept, copy)
    named = find_cell(f"{copy}:nudge-n")
    (named.kept / "tuned.safetensors").write_bytes(b"nothing")
    result = invoke("export", f"{copy}:nudge-n", "--to", "npy", "--out", tmp_path / "out", code=2)
    assert "damaged" in result.stderr
    assert "delete it, and the cell is fitted again" in result.stderr
