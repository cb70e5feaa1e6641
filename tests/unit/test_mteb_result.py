"""The files that mteb's own tools open: mteb reads them here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import mteb
import pytest
from click.testing import CliRunner
from mteb.results import TaskResult

from bench.cli import main
from bench.data.beir_sets import SETS
from bench.data.mteb_tasks import MtebTask
from bench.mteb_result import write_task_result
from bench.record import Record, Results, cell_id

THEIRS = {
    "ndcg@10": "ndcg_at_10",
    "recall@1": "recall_at_1",
    "recall@10": "recall_at_10",
    "recall@100": "recall_at_100",
    "mrr@10": "mrr_at_10",
    "map@100": "map_at_100",
}
METRICS = {name: 1 / (2 + place) for place, name in enumerate([*THEIRS, "recall_capped@1", "recall_capped@10"])}


def made(dataset: str, split: str = "official", **fields: Any) -> Record:
    defaults: dict[str, Any] = {
        "dataset": dataset,
        "encoder": "st:some/model",
        "method": "adaptor[batch=512,steps=9]+nudge-n",
        "seed": 3,
        "status": "ok",
        "metrics": METRICS,
        "seconds": {"fit": 1.5, "search": 0.25},
        "identity": {"dataset": dataset, "split": split, "limit": None},
    }
    return Record(**(defaults | fields))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def written(folder: Path, record: Record) -> TaskResult:
    write_task_result(folder, record)
    (path,) = files(folder)
    assert path.parent.name == cell_id(record.identity)
    return TaskResult.from_disk(path)


def test_mteb_reads_the_same_scores(tmp_path: Path) -> None:
    result = written(tmp_path, made("beir/scifact"))
    assert (result.task_name, result.eval_splits, result.hf_subsets) == ("SciFact", ["test"], ["default"])
    assert result.get_score() == METRICS["ndcg@10"]
    assert result.evaluation_time == 1.75
    (scores,) = result.scores["test"]
    assert {name: scores[own] for name, own in THEIRS.items()}.items() <= METRICS.items()
    assert not [name for name in scores if "capped" in name]
    kept = result.validate_and_filter_scores()
    assert kept.get_score(languages=["eng"]) == METRICS["ndcg@10"], "what mteb expects of the task"


@pytest.mark.parametrize(
    "part", [{"split": "random"}, {"identity": {"split": "official", "limit": 50}}, {"split": "grouped"}]
)
def test_a_part_of_the_test_queries_does_not_pass_for_all_of_them(tmp_path: Path, part: dict[str, Any]) -> None:
    result = written(tmp_path, made("beir/scifact", **part))
    assert result.eval_splits != ["test"]
    assert result.get_score() == METRICS["ndcg@10"]


@pytest.mark.parametrize("name", SETS)
def test_every_set_of_beir_has_mtebs_name(name: str, tmp_path: Path) -> None:
    task = written(tmp_path, made(f"beir/{name}")).task_name
    about = mteb.get_task(task).metadata
    if counts := MtebTask(task).counts_by_split:
        assert {own.documents for own in counts.values()} == {SETS[name].counts.documents}
    else:
        assert about.descriptive_stats["test"]["relevant_docs_statistics"]["num_relevant_docs"] == 932


def test_a_task_of_mteb_says_what_mteb_says_of_it(tmp_path: Path) -> None:
    result = written(tmp_path, made("mteb/MLQARetrieval/deu-eng", "random"))
    about = mteb.get_task("MLQARetrieval").metadata
    assert result.dataset_revision == about.revision
    assert result.task_name == "MLQARetrieval"
    assert result.hf_subsets == ["deu-eng"]
    assert sorted(result.languages) == ["deu", "eng"]


def test_a_failed_cell_has_no_file(tmp_path: Path) -> None:
    failed = made("beir/scifact", status="failed", reason="no memory", metrics={})
    write_task_result(tmp_path, failed)
    assert files(tmp_path) == []
    write_task_result(tmp_path, made("beir/scifact"))
    write_task_result(tmp_path, failed)
    assert files(tmp_path) == []


@pytest.mark.parametrize("dataset", ["icon-names", "paper/nfcorpus", "folder:mteb/x"])
def test_what_mteb_does_not_have_has_no_file(tmp_path: Path, dataset: str) -> None:
    write_task_result(tmp_path, made(dataset))
    assert files(tmp_path) == []


def test_a_long_name_is_cut(tmp_path: Path) -> None:
    method = "+".join(["adaptor[batch=512,steps=9]"] * 20)
    written(tmp_path, made("beir/scifact", method=method))


def test_a_run_writes_them(local_copy: Any, cache: Path, tiny_model: Path, tmp_path: Path) -> None:
    local_copy("beir/scifact")
    out, encoder = tmp_path / "out", f"st:{tiny_model}"
    arguments = ["run", "--datasets", "beir/scifact", "--encoder", encoder, "--methods", "none,nudge-n"]
    done = CliRunner().invoke(main, [*arguments, "--seeds", "0,1", "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    loaded = mteb.ResultCache(out / "mteb").load_results(require_model_meta=False)
    found = {
        (model.model_revision, task.task_name): task.get_score() for model in loaded for task in model.task_results
    }
    assert found == {
        (cell_id(record.identity), "SciFact"): record.metrics["ndcg@10"] for record in Results(out).records()
    }
    assert len(found) == len(loaded.to_dataframe().columns) - 2 == 4, "one column a cell"


def test_mteb_is_not_imported_for_a_set_of_beir(tmp_path: Path) -> None:
    record = made("beir/scifact").model_dump_json()
    code = f"""
import sys
from pathlib import Path
from bench.mteb_result import write_task_result
from bench.record import Record
write_task_result(Path({str(tmp_path)!r}), Record.model_validate_json({record!r}))
print("mteb" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
    assert len(files(tmp_path)) == 1
