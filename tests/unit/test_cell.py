"""Cells from end to end: what runs, what does not, what a record holds, what a method may see."""

from __future__ import annotations

import gc
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result

from bench.cli import main
from bench.embed.encoders import open_encoder
from bench.names import BUCKETS, METRICS
from bench.record import Record, Results, cell_id
from bench.run import worker
from methods import Method, Problem, ProblemError, Unsuited, VectorTuned, _registry, fit, parse


@dataclass(frozen=True)
class Spy(Method):
    """Changes nothing, and remembers what it was given."""

    name: ClassVar[str] = "spy"
    given: ClassVar[list[Problem]] = []
    strength: float = 1.0

    def fit(self, problem: Problem) -> VectorTuned:
        self.given.append(problem)
        problem.meter.count("steps", 3)
        problem.meter.note("little is known")
        problem.meter.note("little is known")
        problem.meter.log(loss=2.0)
        problem.meter.log(loss=self.strength)
        problem.meter.log(drawn=random.random())  # noqa: S311
        problem.meter.log(drawn=np.random.random())  # noqa: NPY002
        problem.meter.log(drawn=float(torch.rand(1)))
        with problem.meter.phase("inner"):
            pass
        return VectorTuned(problem.corpus)


@dataclass(frozen=True)
class Failing(Method):
    """Raises what it is told to."""

    name: ClassVar[str] = "failing"
    left: ClassVar[list[Path]] = []
    error: ClassVar[BaseException | None] = RuntimeError("it broke\n  badly")

    def fit(self, problem: Problem) -> VectorTuned:
        if problem.scratch is not None:
            self.left.append(problem.scratch)
            problem.scratch.mkdir(parents=True, exist_ok=True)
        if self.error is not None:
            raise self.error
        return VectorTuned(problem.corpus)


pytestmark = pytest.mark.usefixtures("cache", "registered")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registers the two methods above as another package would."""
    toys = {kind.name: SimpleNamespace(value="toys", dist=None, load=lambda kind=kind: kind) for kind in (Spy, Failing)}
    names: Mapping[str, Any] = {**_registry.method_names(), **toys}
    monkeypatch.setattr(_registry, "method_names", lambda: names)
    Spy.given.clear()
    yield
    Spy.given.clear()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cells that have run, as they are printed."""
    ran: list[str] = []
    run_cell = worker.run_cell

    def noted(cell: Any, *rest: Any) -> Any:
        ran.append(f"{cell.method} {cell.seed}")
        return run_cell(cell, *rest)

    monkeypatch.setattr(worker, "run_cell", noted)
    return ran


Run = Callable[..., Result]


@pytest.fixture
def run(toy_folder: Path, tiny_model: Path, tmp_path: Path) -> Run:
    """Runs methods on the toy data, and checks the exit code."""

    def run(methods: str, *options: str, code: int = 0, out: Path | None = None, data: Path | None = None) -> Result:
        arguments = ["run", "--data", str(data or toy_folder), "--encoder", f"st:{tiny_model}", "--methods", methods]
        if "--seeds" not in options:
            arguments += ["--seeds", "0"]
        result = CliRunner().invoke(main, [*arguments, "--out", str(out or tmp_path / "out"), *options])
        assert result.exit_code == code, (result.exception, result.stderr)
        return result

    return run


def records(out: Path) -> dict[str, Record]:
    """By method; of a single seed."""
    return {record.method: record for record in Results(out).records()}


def test_a_cell_that_has_a_record_does_not_run_again(run: Run, ran: list[str], tmp_path: Path) -> None:
    assert "4 of 4 cells to run" in run("none,spy", "--seeds", "0,1").stderr
    before = {path: path.read_bytes() for path in (tmp_path / "out" / "records").iterdir()}
    assert ran == ["none 0", "spy 0", "none 1", "spy 1"]
    again = run("none,spy", "--seeds", "0,1")
    assert "nothing to run: all 4 cells have a record" in again.stderr
    assert len(ran) == 4
    assert {path: path.read_bytes() for path in (tmp_path / "out" / "records").iterdir()} == before
    assert "spy" in again.stdout, "the leaderboard is printed all the same"


def test_what_can_change_the_result_runs_again(
    run: Run, ran: list[str], toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    shutil.copytree(toy_folder, data)
    run("spy", data=data)
    run("spy[strength=1]", data=data)
    assert ran == ["spy 0"], "the default by another spelling"
    for methods, options in (
        ("spy[strength=2]", ()),
        ("spy", ("--seeds", "1")),
        ("spy", ("--limit", "50")),
        ("spy", ("--split", "grouped")),
    ):
        run(methods, *options, data=data)
    assert ran == ["spy 0", "spy[strength=2.0] 0", "spy 1", "spy 0", "spy 0"]
    monkeypatch.setattr(Spy, "version", 2)
    run("spy", data=data)
    assert len(ran) == 6
    with (data / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "one more", "text": "one more"}\n')
    run("spy", data=data)
    assert len(ran) == 7
    assert len(list((tmp_path / "out" / "records").iterdir())) == 7


def test_a_processor_with_bfloat16_and_one_without_make_two_cells(
    run: Run, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for has in (True, False, True):
        monkeypatch.setattr("bench.embed.sentence.has_bfloat16", lambda device, has=has: has)
        run("spy")
    assert ran == ["spy 0", "spy 0"]


def test_a_method_that_raises_fails_its_own_cell_alone(run: Run, tmp_path: Path) -> None:
    result = run("none,failing,spy", code=1)
    found = records(tmp_path / "out")
    assert {method: record.status for method, record in found.items()} == {
        "none": "ok",
        "failing": "failed",
        "spy": "ok",
    }
    failed = found["failing"]
    line = Failing.fit.__code__.co_firstlineno + 5
    assert failed.reason == f"RuntimeError: it broke badly (test_cell.py, line {line})"
    assert (failed.metrics, failed.fit_seconds) == ({}, None)
    assert failed.reason in result.stderr
    assert failed.reason in result.stdout, "the leaderboard says so too"
    assert not Results(tmp_path / "out").per_query(failed).exists()


def test_a_problem_that_a_method_cannot_be_fitted_on_needs_no_place_in_the_code(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Failing, "error", ProblemError("train.vectors: row 3 is zero"))
    run("failing", code=1)
    assert records(tmp_path / "out")["failing"].reason == "train.vectors: row 3 is zero"


@pytest.mark.parametrize(
    ("overwrite", "expected"), [("failed", ["failing 0"]), ("never", []), ("always", ["none 0", "failing 0"])]
)
def test_what_runs_again(
    run: Run, ran: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: str, expected: list[str]
) -> None:
    run("none,failing", code=1)
    ran.clear()
    monkeypatch.setattr(Failing, "error", None)
    run("none,failing", "--overwrite", overwrite)
    assert ran == expected
    assert records(tmp_path / "out")["failing"].status == ("failed" if overwrite == "never" else "ok")


def test_a_failed_cell_runs_again_without_being_asked_to(
    run: Run, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("none,failing", code=1)
    run("none,failing", code=1)
    monkeypatch.setattr(Failing, "error", None)
    run("none,failing")
    run("none,failing")
    assert ran == ["none 0", "failing 0", "failing 0", "failing 0"]


def test_an_interrupted_run_keeps_what_is_done(
    run: Run, ran: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing.left.clear()
    monkeypatch.setattr(Failing, "error", KeyboardInterrupt())
    assert run("none,failing,spy", code=130).stderr.endswith("tunebench: stopped; the same command goes on\n")
    assert list(records(tmp_path / "out")) == ["none"]
    monkeypatch.setattr(Failing, "error", None)
    ran.clear()
    run("none,failing,spy")
    assert ran == ["failing 0", "spy 0"]


def test_a_record_holds_what_was_measured(run: Run, tmp_path: Path, toy_folder: Path, tiny_model: Path) -> None:
    run("spy")
    record = records(tmp_path / "out")["spy"]
    assert (record.dataset, record.encoder) == (f"folder:{toy_folder}", f"st:{tiny_model}")
    assert (record.status, record.reason, record.seed) == ("ok", None, 0)
    assert record.counts == {
        "documents": 60,
        "train_queries": 42,
        "dev_queries": 6,
        "test_queries": 12,
        "steps": 3,
    }
    assert set(record.seconds) == {"load", "encode", "fit", "inner", "search", "score"}
    assert all(seconds >= 0 for seconds in record.seconds.values())
    assert record.seconds["encode"] > 0
    assert record.fit_seconds == record.seconds["fit"]
    assert record.curves["loss"] == [2.0, 1.0]
    assert record.memory["rss"] > 1e7
    for name in ("tunebench", "commit", "python", "platform", "processor", "cores", "torch", "numpy"):
        assert name in record.environment
    assert record.identity | {"fingerprint": "", "encoder_revision": "", "encoder_settings": "", "threads": 0} == {
        "schema": 1,
        "dataset": f"folder:{toy_folder}",
        "fingerprint": "",
        "split": "random",
        "limit": None,
        "encoder": f"st:{tiny_model}",
        "encoder_revision": "",
        "encoder_settings": "",
        "method": "spy",
        "method_version": 1,
        "hyperparameters": {
            "name": "spy",
            "version": 1,
            "join_dev": False,
            "train_share": 1.0,
            "strength": 1.0,
        },
        "seed": 0,
        "accelerator": "cpu",
        "threads": 0,
    }
    assert record.identity["threads"] == torch.get_num_threads()
    assert re.fullmatch(r"max_length 0, dtype b?float(16|32)", record.identity["encoder_settings"])


def test_metrics_are_the_means_of_the_scores_beside_them(run: Run, tmp_path: Path) -> None:
    run("nudge-n")
    record = records(tmp_path / "out")["nudge-n"]
    scores = pd.read_parquet(Results(tmp_path / "out").per_query(record))
    assert list(scores.columns) == ["query_id", "cluster", "seen", "seen_fraction", "nearest", "wording", *METRICS]
    assert len(scores) == scores["query_id"].nunique() == 12
    assert list(record.metrics)[: len(METRICS)] == list(METRICS)
    assert 0 < record.metrics["ndcg@10"] < 1
    for name in METRICS:
        assert record.metrics[name] == pytest.approx(scores[name].mean())
    nearest: Any = record.metrics["nearest"]
    assert list(nearest) == list(BUCKETS)
    for subset, chosen in {"seen": scores["seen"], "unseen": ~scores["seen"]}.items():
        found: Any = record.metrics[subset]
        assert found["queries"] == chosen.sum()
        if chosen.any():
            assert found["ndcg@10"] == pytest.approx(scores.loc[chosen, "ndcg@10"].mean())
    assert nearest["unseen"]["queries"] == (~scores["seen"]).sum()
    for bucket, low, high in (("<.6", -1, 0.6), (".6-.8", 0.6, 0.8), (".8-.9", 0.8, 0.9), (">.9", 0.9, 1.1)):
        assert nearest[bucket]["queries"] == ((scores["nearest"] >= low) & (scores["nearest"] < high)).sum()
    assert sum(bucket["queries"] for bucket in nearest.values()) == 12


def judgements(folder: Path) -> dict[str, set[str]]:
    rows: dict[str, set[str]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, _ = line.split("\t")
        rows.setdefault(query, set()).add(document)
    return rows


def test_seen_and_cluster_are_those_of_the_judgements(run: Run, tmp_path: Path, toy_folder: Path) -> None:
    run("spy")
    scores = pd.read_parquet(Results(tmp_path / "out").per_query(records(tmp_path / "out")["spy"]))
    texts = {json.loads(line)["text"]: json.loads(line)["_id"] for line in (toy_folder / "queries.jsonl").open()}
    train = {texts[item] for item in Spy.given[0].train.items}
    judged = judgements(toy_folder)
    vectors = dict(zip(texts.values(), open_encoder("minilm").encode(list(texts), "query"), strict=True))
    told = set().union(*(judged[query] for query in train))
    for row in scores.itertuples():
        answers = judged[str(row.query_id)]
        assert row.seen_fraction == pytest.approx(len(answers & told) / len(answers))
        assert row.seen == bool(answers & told)
        near = [float(vectors[str(row.query_id)] @ vectors[other]) for other in train if judged[other] & answers]
        assert row.nearest == pytest.approx(max(near), abs=1e-5) if near else np.isnan(row.nearest)
        assert row.wording == pytest.approx(
            max(float(vectors[str(row.query_id)] @ vectors[o]) for o in train), abs=1e-5
        )
        assert row.cluster in answers
        most = max(sum(answer in other for other in judged.values()) for answer in answers)
        assert sum(row.cluster in other for other in judged.values()) == most


def reachable(root: object) -> Iterator[object]:
    """Everything that can be reached from an object, but for modules, classes, functions' globals and the encoder."""
    known, todo = {id(root)}, [root]
    while todo:
        here = todo.pop()
        yield here
        for there in gc.get_referents(here):
            skip = isinstance(there, type) or type(there).__name__ in {"module", "SentenceTransformer"}
            if id(there) not in known and not skip and there is not globals():
                known.add(id(there))
                todo.append(there)


def test_test_queries_never_reach_a_method(run: Run, tmp_path: Path, toy_folder: Path) -> None:
    run("spy", "--seeds", "0,1")
    queries = [json.loads(line) for line in (toy_folder / "queries.jsonl").open()]
    judged = judgements(toy_folder)
    for record, problem in zip(sorted(Results(tmp_path / "out").records(), key=_seed), Spy.given, strict=True):
        tested = set(pd.read_parquet(Results(tmp_path / "out").per_query(record))["query_id"])
        texts = {row["text"] for row in queries if row["_id"] in tested}
        others = {row["text"]: row["_id"] for row in queries if row["_id"] not in tested}
        assert len(tested) == 12
        given = [*problem.train.items, *problem.dev.items]
        assert sorted(given) == sorted(others)
        for part in (problem.train, problem.dev):
            assert part.relevant.lengths.tolist() == [len(judged[others[item]]) for item in part.items]
            for tensor in (part.vectors, part.relevant.columns, part.relevant.values, part.relevant.offsets):
                assert tensor.untyped_storage().nbytes() == tensor.nbytes, "a view of an array with more in it"
        within = [thing for thing in reachable(problem) if isinstance(thing, str)]
        assert texts.isdisjoint(within), "a test query's text can be reached"
        assert set(given) <= set(within), "the search would have found it"


def _seed(record: Record) -> int:
    return record.seed


@pytest.mark.usefixtures("float32")
def test_a_method_is_given_the_vectors_of_its_queries(run: Run, tiny_model: Path) -> None:
    from sentence_transformers import SentenceTransformer

    run("spy")
    (problem,) = Spy.given
    model = SentenceTransformer(str(tiny_model), device="cpu")
    for part in (problem.train, problem.dev):
        np.testing.assert_allclose(part.vectors, model.encode(list(part.items)), atol=1e-4)
    documents = model.encode(list(problem.corpus.items), normalize_embeddings=True)
    np.testing.assert_allclose(problem.corpus.rows(torch.arange(60)), documents, atol=1e-5)
    assert problem.seed == 0
    assert problem.encoder is not None


def test_the_seed_drives_what_draws_from_the_generators_of_the_process(run: Run, tmp_path: Path) -> None:
    drawn = []
    for place, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        run("spy", "--seeds", seed, out=tmp_path / place)
        drawn.append(records(tmp_path / place)["spy"].curves["drawn"])
    assert drawn[0] == drawn[1]
    assert all(one != other for one, other in zip(drawn[0], drawn[2], strict=True))


def test_the_same_cell_gives_the_same_result_to_the_bit(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = ["none", "adaptor[batch=16,steps=30]", "nudge-m", "nudge-n"]
    run(",".join(methods), out=tmp_path / "a")
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "fresh cache"))
    run(",".join(reversed(methods)), out=tmp_path / "b")
    one, other = records(tmp_path / "a"), records(tmp_path / "b")
    assert set(one) == set(other) == set(methods)
    for method, record in one.items():
        assert cell_id(other[method].identity) == cell_id(record.identity)
        assert other[method].metrics == record.metrics
        assert other[method].curves == record.curves
        scores = [Results(tmp_path / folder).per_query(record).read_bytes() for folder in "ab"]
        assert scores[0] == scores[1]
    assert len({record.metrics["ndcg@10"] for record in one.values()}) > 1, "the methods must do something"


def test_a_query_never_retrieves_itself(run: Run, tmp_path: Path, write_beir: Any) -> None:
    texts = {f"x{number}": {"text": f"words {number} {number * 7}"} for number in range(20)}
    qrels = [(f"x{number}", f"x{(number + 1) % 20}", 1) for number in range(20)]
    run("none", data=write_beir(tmp_path / "data", texts, texts, {"test": qrels}))
    record = records(tmp_path / "out")["none"]
    assert record.metrics["recall@100"] == 1.0
    # With ids of their own, queries find the document that repeats them first, and the answer a rank later.
    queries = {f"q{key}": row for key, row in texts.items()}
    other = write_beir(tmp_path / "other", texts, queries, {"test": [(f"q{key}", *rest) for key, *rest in qrels]})
    run("none", data=other, out=tmp_path / "other out")
    found = records(tmp_path / "other out")["none"].metrics
    assert found["recall@1"] == 0.0
    assert found["mrr@10"] < record.metrics["mrr@10"]


def test_a_method_that_is_not_for_the_problem_is_skipped_for_good(
    run: Run, ran: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Failing, "error", Unsuited("failing: not for this"))
    result = run("none,failing")
    assert "failing · seed 0: skipped: failing: not for this" in result.stderr
    assert records(tmp_path / "out")["failing"].status == "skipped"
    assert "failing: skipped on seed 0: failing: not for this" in (tmp_path / "out" / "leaderboard.md").read_text()
    ran.clear()
    run("none,failing")
    assert ran == []


def test_notes_are_kept_once_and_shown(run: Run, tmp_path: Path) -> None:
    run("spy")
    assert records(tmp_path / "out")["spy"].notes == ["little is known"]
    assert "spy: ok on seed 0: little is known" in (tmp_path / "out" / "leaderboard.md").read_text()


def test_scratch_is_shared_by_chains_that_begin_alike_and_cleared(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Spy.given.clear()
    run("spy,spy[strength=2.0],spy+nudge-n", "--seeds", "0,1")
    scratch = [problem.scratch for problem in Spy.given]
    assert scratch[0::3] == scratch[1::3], "chains follow what they begin with"
    assert len(set(scratch)) == 4
    Failing.left.clear()
    monkeypatch.setattr(Failing, "error", KeyboardInterrupt())
    run("failing", code=130)
    (left,) = set(Failing.left)
    assert left.is_dir(), "a run that was stopped goes on from here"
    monkeypatch.setattr(Failing, "error", None)
    run("failing")
    assert not left.parent.exists()


def test_what_a_method_has_learnt_is_kept_when_asked_for(run: Run, ran: list[str], tmp_path: Path) -> None:
    Spy.given.clear()
    run("spy,nudge-n")
    identity = records(tmp_path / "out")["nudge-n"].identity
    artefact = Results(tmp_path / "out").artefact(identity)
    assert not artefact.exists()
    run("nudge-n", "--keep")
    assert len(ran) == 3, "a record alone is not enough"
    run("nudge-n", "--keep")
    assert len(ran) == 3
    (problem,) = Spy.given
    kept = parse("nudge-n").load(artefact, problem.corpus)
    again = fit(parse("nudge-n"), problem)
    assert kept.search(problem.dev, 5).rows.equal(again.search(problem.dev, 5).rows)
    run("nudge-n", "--overwrite", "always")
    assert not artefact.exists(), "it would be of an earlier run"
