"""Scores in the form in which mteb keeps its own, so that its tools open them; mteb is not imported for BEIR's sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from bench.data.catalogue import entry
from bench.data.mteb_tasks import MtebTask
from bench.names import MAIN, METRICS
from bench.record import Record, cell_id
from bench.whole import write_whole

LONGEST = 200  # bytes of a folder's name, of which file systems take 255
# BEIR's data sets, as mteb calls them.
BEIR_TASKS = {
    "arguana": "ArguAna",
    "climate-fever": "ClimateFEVER",
    "dbpedia-entity": "DBPedia",
    "fever": "FEVER",
    "fiqa": "FiQA2018",
    "hotpotqa": "HotpotQA",
    "msmarco": "MSMARCO",
    "nfcorpus": "NFCorpus",
    "nq": "NQ",
    "quora": "QuoraRetrieval",
    "scidocs": "SCIDOCS",
    "scifact": "SciFact",
    "trec-covid": "TRECCOVID",
    "webis-touche2020": "Touche2020",
}


class Task(NamedTuple):
    """What mteb calls a data set: the task, its revision, the subset and its languages."""

    name: str
    revision: str
    subset: str
    languages: list[str]


def write_task_result(folder: Path, record: Record) -> None:
    """Writes what `mteb.ResultCache(folder / "mteb").load_results(require_model_meta=False)` reads, a file a cell.

    There is none for a cell that has no scores, and for a data set that is no task of mteb.

    Args:
        folder: of the results.
        record: what becomes `mteb/results/<encoder>__<method>__seed-<seed>/<cell id>/<task>.json` in it.
    """
    task = _task(record.dataset)
    if task is None:
        return
    model = f"{record.encoder}/{record.method}/seed-{record.seed}".replace("/", "__")[:LONGEST]
    path = folder / "mteb" / "results" / model / cell_id(record.identity) / f"{task.name}.json"
    if record.status == "ok":
        write_whole(path, json.dumps(_task_result(task, record), indent=1).encode() + b"\n")
    else:
        path.unlink(missing_ok=True)


def _task(dataset: str) -> Task | None:
    kind, _, name = dataset.partition("/")
    if kind not in {"beir", "mteb"}:
        return None
    source = entry(dataset).source
    if isinstance(source, MtebTask):
        return Task(source.task, source.revision, source.hf_subset, source.languages)
    beir, _, forum = name.partition("/")
    task = f"CQADupstack{forum.capitalize()}Retrieval" if forum else BEIR_TASKS[beir]
    return Task(task, source.key(dataset), "default", ["eng-Latn"])


def _task_result(task: Task, record: Record) -> dict[str, Any]:
    """An `mteb.TaskResult` as plain JSON."""
    scores = {name.replace("@", "_at_"): record.metrics[name] for name in METRICS if "capped" not in name}
    about = {"main_score": record.metrics[MAIN], "hf_subset": task.subset, "languages": task.languages}
    return {
        "dataset_revision": task.revision,
        "task_name": task.name,
        "mteb_version": None,
        "evaluation_time": sum(record.seconds.values()),
        "kg_co2_emissions": None,
        "scores": {_split(record.identity): [{**scores, **about}]},
    }


def _split(identity: dict[str, Any]) -> str:
    """The test split is mteb's only when it is the source's own and whole; no part of it may pass for it."""
    whole = identity["split"] == "official" and identity["limit"] is None
    return "test" if whole else f"test, {identity['split']} split"
