"""Artefacts that learn on, and that are held against `none` on queries they have not seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shipped import Invoke

from bench.ship.artefact import Artefact, find_cell, open_artefact
from methods import fit, parse

NUDGES = pytest.mark.parametrize("method", ["nudge-m", "nudge-n", "nudge-loo"])
WriteBeir = Callable[..., Path]
CPU = torch.device("cpu")


def opened(cell: object) -> Artefact:
    return open_artefact(find_cell(str(cell)), CPU)


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "new documents.jsonl", [{"_id": f"n{n}", "text": f"new words {n}"} for n in range(3)])


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    rows = [
        {"_id": "m0", "text": "which new words", "relevant": ["n0", "d3"]},
        {"_id": "m1", "text": "other words", "relevant": {"d5": 2}},
    ]
    return write_lines(tmp_path / "new queries.jsonl", rows)


@NUDGES
def test_an_update_equals_a_fit_to_everything_at_what_was_chosen(
    method: str, kept: Path, tmp_path: Path, invoke: Invoke, documents: Path, queries: Path
) -> None:
    out = tmp_path / "live"
    invoke("update", f"{kept}:{method}", "--documents", documents, "--queries", queries, "--out", out)
    before, after = opened(f"{kept}:{method}"), opened(out)
    assert after.problem.corpus.n == before.problem.corpus.n + 3
    assert len(after.problem.train) == len(before.problem.train) + 2
    anew = fit(replace(parse(method), **before.tuned.chosen), after.problem)
    own, expected = (tuned.search(after.test, 63) for tuned in (after.tuned, anew))
    assert torch.equal(own.rows, expected.rows)
    assert torch.equal(own.scores, expected.scores)
    assert not torch.equal(after.tuned.moved.vectors, before.tuned.moved.vectors)


def test_only_what_changed_is_touched(
    kept: Path, tmp_path: Path, invoke: Invoke, documents: Path, queries: Path
) -> None:
    told = json.loads(
        invoke(
            "update",
            f"{kept}:nudge-n",
            "--queries",
            queries,
            "--documents",
            documents,
            "--out",
            tmp_path / "a",
            "--json",
        ).stdout
    )
    assert told["added_documents"] == 3
    assert told["added_queries"] == 2
    assert told["touched_documents"] == 3, "n0, d3 and d5"
    told = json.loads(
        invoke("update", f"{kept}:nudge-n", "--documents", documents, "--out", tmp_path / "b", "--json").stdout
    )
    assert told["touched_documents"] == 0
    assert (
        "3 documents and 2 queries added, 3 documents touched; now 63 documents"
        in invoke(
            "update", f"{kept}:nudge-n", "--queries", queries, "--documents", documents, "--out", tmp_path / "c"
        ).stdout
    )


def test_what_was_updated_is_updated_again_and_exported(
    kept: Path, tmp_path: Path, invoke: Invoke, documents: Path, queries: Path
) -> None:
    invoke("update", f"{kept}:nudge-n", "--documents", documents, "--out", tmp_path / "once")
    invoke("update", tmp_path / "once", "--queries", queries, "--out", tmp_path / "twice")
    invoke("update", f"{kept}:nudge-n", "--documents", documents, "--queries", queries, "--out", tmp_path / "both")
    for name in ("twice", "both"):
        invoke("export", tmp_path / name, "--to", "npy", "--out", tmp_path / f"{name}.out")
    first, second = (np.load(tmp_path / f"{name}.out" / "documents.npy") for name in ("twice", "both"))
    assert np.array_equal(first, second)
    assert json.loads((tmp_path / "twice.out" / "ids.json").read_text())[-3:] == ["n0", "n1", "n2"]
    assert "63 documents" in (tmp_path / "twice.out" / "README.md").read_text()


def test_pictures_are_found_again_after_an_update(kept: Path, tmp_path: Path, invoke: Invoke, documents: Path) -> None:
    from bench.ship.additions import Additions

    (tmp_path / "1.png").write_bytes(b"a picture")
    (tmp_path / "there").mkdir()
    write_lines(tmp_path / "pictures.jsonl", [{"_id": "p", "image": "1.png"}])
    Additions(tmp_path / "pictures.jsonl").write(tmp_path / "there", Additions(documents))
    rows = [json.loads(line) for line in (tmp_path / "there" / "documents.jsonl").read_text().splitlines()]
    assert rows[-1] == {"_id": "p", "image": str(tmp_path / "1.png")}
    assert len(rows) == 4


BAD: dict[str, tuple[dict[str, list[dict[str, Any]]], str]] = {
    "an id that is taken": ({"documents": [{"_id": "d1", "text": "x"}]}, "documents.jsonl: id 'd1' is taken already"),
    "an unknown document": (
        {"queries": [{"_id": "m", "text": "x", "relevant": ["d1"]}, {"_id": "m2", "text": "x", "relevant": ["nope"]}]},
        "queries.jsonl, line 2: document 'nope' is not known; add it to the documents first",
    ),
    "no judgement": ({"queries": [{"_id": "m", "text": "x"}]}, "line 1: 'relevant' must be a list of document ids"),
    "a grade that is none": (
        {"queries": [{"_id": "m", "text": "x", "relevant": {"d1": "good"}}]},
        "line 1: 'relevant'",
    ),
    "an empty query": ({"queries": [{"_id": "m", "text": " ", "relevant": ["d1"]}]}, "line 1: the text is empty"),
    "an id twice": (
        {"queries": [{"_id": "m", "text": "x", "relevant": ["d1"]}] * 2},
        "line 2: id 'm' stands there twice",
    ),
    "no query": ({"queries": []}, "holds no query"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_added_is_refused_in_a_line(case: str, kept: Path, tmp_path: Path, invoke: Invoke) -> None:
    files, message = BAD[case]
    options = [
        part for name, rows in files.items() for part in (f"--{name}", write_lines(tmp_path / f"{name}.jsonl", rows))
    ]
    result = invoke("update", f"{kept}:nudge-n", *options, "--out", tmp_path / "out", code=2)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_query_that_was_learnt_from_is_not_added_again(kept: Path, tmp_path: Path, invoke: Invoke) -> None:
    known = next(iter(opened(f"{kept}:nudge-n").known.learnt))
    queries = write_lines(tmp_path / "queries.jsonl", [{"_id": known, "text": "x", "relevant": ["d1"]}])
    result = invoke("update", f"{kept}:nudge-n", "--queries", queries, "--out", tmp_path / "out", code=2)
    assert f"id {known!r} is taken already" in result.stderr


@pytest.mark.parametrize("method", ["adaptor[steps=40,batch=16]", "bm25", "none", "nnn"])
def test_what_learns_from_everything_anew_says_so(
    method: str, kept: Path, tmp_path: Path, invoke: Invoke, queries: Path
) -> None:
    result = invoke("update", f"{kept}:{method}", "--queries", queries, "--out", tmp_path / "out", code=2)
    assert "learns from all data anew" in result.stderr


def test_a_chain_cannot_be_updated(kept: Path, tmp_path: Path, invoke: Invoke, documents: Path) -> None:
    name = f"{kept}:adaptor[steps=40,batch=16]+nudge-loo[offset=0.1]"
    result = invoke("update", name, "--documents", documents, "--out", tmp_path / "out", code=2)
    assert "a chain cannot be updated" in result.stderr


def test_an_update_of_nothing_shows_the_usage(kept: Path, tmp_path: Path, invoke: Invoke) -> None:
    assert "give --documents" in invoke("update", f"{kept}:nudge-n", "--out", tmp_path / "out", code=2).stderr


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path, write_beir: WriteBeir) -> Callable[..., Path]:
    """Held-out queries that repeat train queries of an artefact word by word, with the same answers or others."""
    folder = tmp_path_factory.mktemp("held-out")
    lines = (toy_folder / "qrels" / "test.tsv").read_text().splitlines()[1:]
    judged = [line.split("\t") for line in lines]

    def write(artefact: Artefact, name: str, shift: int = 0, documents: Mapping[str, Any] | None = None) -> Path:
        learnt = list(artefact.known.learnt.items())[:40]
        new_id = {key: f"held-{key}" for key, _ in learnt}
        qrels = [
            (new_id[query], f"d{(int(document[1:]) + shift) % 60}", int(grade))
            for query, document, grade in judged
            if query in new_id
        ]
        queries = {new_id[key]: {"text": item} for key, item in learnt}
        written = write_beir(folder / name, documents or {}, queries, {"test": qrels})
        if documents is None:
            (written / "corpus.jsonl").unlink()
        return written

    return write


def test_what_is_asked_again_is_better_than_none(kept: Path, invoke: Invoke, repeated: Callable[..., Path]) -> None:
    artefact = opened(f"{kept}:nudge-n")
    held_out = repeated(artefact, "same")
    told = json.loads(invoke("check", f"{kept}:nudge-n", "--data", held_out, "--json").stdout)
    assert told["better"]
    assert told["queries"] == 40
    assert told["p"]["permutation"] < 0.05
    assert told["first"] > told["second"]
    plain = invoke("check", f"{kept}:nudge-n", "--data", held_out).stdout
    assert plain.startswith("better beyond noise: NDCG@10 0.")


def test_other_answers_make_it_no_longer_better(kept: Path, invoke: Invoke, repeated: Callable[..., Path]) -> None:
    held_out = repeated(opened(f"{kept}:nudge-n"), "shifted", shift=7)
    assert "no longer better" in invoke("check", f"{kept}:nudge-n", "--data", held_out, code=1).stdout


def test_the_scores_are_those_of_the_method_and_of_none(
    kept: Path, invoke: Invoke, repeated: Callable[..., Path]
) -> None:
    from bench.ship.check import check

    artefact = opened(f"{kept}:full-finetune[steps=4,check_every=0,learning_rate=0.001]")
    found = check(artefact, repeated(artefact, "tuned"))
    none = check(opened(f"{kept}:none"), repeated(artefact, "none"))
    assert none.first == none.second == found.second
    assert none.value == 0
    assert none.sign == 0


def test_an_updated_artefact_is_checked_over_its_new_documents(
    kept: Path, tmp_path: Path, invoke: Invoke, documents: Path, write_beir: WriteBeir
) -> None:
    invoke("update", f"{kept}:nudge-n", "--documents", documents, "--out", tmp_path / "live")
    held_out = write_beir(tmp_path / "held", {}, {"h": {"text": "new words"}}, {"test": [("h", "n1", 1)]})
    (held_out / "corpus.jsonl").unlink()
    assert "1 query in 1 cluster" in invoke("check", tmp_path / "live", "--data", held_out, code=1).stdout
    result = invoke("check", f"{kept}:nudge-n", "--data", held_out, code=2)
    assert "document 'n1' is not in the artefact; add it there" in result.stderr


def test_other_documents_are_refused(kept: Path, tmp_path: Path, invoke: Invoke, write_beir: WriteBeir) -> None:
    query, judged = {"h": {"text": "words"}}, {"test": [("h", "d1", 1)]}
    other = write_beir(tmp_path / "other", {"d1": {"text": "another text"}}, query, judged)
    result = invoke("check", f"{kept}:nudge-n", "--data", other, code=2)
    assert "document 'd1' has another text" in result.stderr
    text = str(opened(f"{kept}:nudge-n").known.documents[1])
    more = write_beir(tmp_path / "more", {"d1": {"text": text}, "x": {"text": "new"}}, query, judged)
    result = invoke("check", f"{kept}:nudge-n", "--data", more, code=2)
    assert "document 'x' is not the artefact's; `tunebench update` adds documents to it" in result.stderr


def test_a_query_that_was_learnt_from_is_no_test(kept: Path, tmp_path: Path, invoke: Invoke, toy_folder: Path) -> None:
    result = invoke("check", f"{kept}:nudge-n", "--data", toy_folder, code=2)
    assert "is among those that the artefact has learnt from; leave them out" in result.stderr
