"""The process that writes runs and sends them: `question.json` in the folder it is given, and `answer.json`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import wandb

from bench.errors import one_line
from bench.record import Record, Results, cell_id
from bench.track.tracking import Question, Tracked, has_key
from bench.track.wandb_run import write_run

ANSWER = 10  # seconds that the server has for one answer
ENDED = {"ok": "finished", "failed": "failed"}  # what W&B calls a run, by the status of its record

Records = Mapping[str, Record]


def _main(scratch: Path) -> None:
    question = Question(**json.loads((scratch / "question.json").read_text()))
    try:
        tracked = _track(question, scratch)
    except Exception as error:  # noqa: BLE001 — the harness tells it, and goes on
        problem = f"{type(error).__name__}: {one_line(error)}"
        tracked = Tracked(question.mode, len(question.cells), problem=problem)
    (scratch / "answer.json").write_text(json.dumps(asdict(tracked)))


def _track(question: Question, scratch: Path) -> Tracked:
    results = Results(Path(question.folder))
    found = {cell_id(record.identity): record for record in results.records()}
    records = {cell: found[cell] for cell in question.cells}
    if question.mode != "offline" and has_key():
        return _online(question, results, records, scratch)
    if question.mode == "online":
        return Tracked("online", len(records), problem="no API key; `wandb login` takes one, or WANDB_API_KEY")
    return _offline(question, results, records, scratch)


def _offline(question: Question, results: Results, records: Records, scratch: Path) -> Tracked:
    """Writes the runs that are not in the folder, or are older than their record, each whole or not at all."""
    home = results.folder / "wandb"
    home.mkdir(exist_ok=True)
    os.environ["WANDB_DATA_DIR"] = str(home)  # where W&B keeps a table until it is sent
    done = 0
    for cell, record in records.items():
        written = results.path(record.identity).stat().st_mtime
        if any(log.stat().st_mtime >= written for log in home.glob(f"offline-run-*-{cell}/*.wandb")):
            continue
        run = write_run(record, results.per_query(record), question.group, scratch)
        for stale in list(home.glob(f"*offline-run-*-{cell}")):
            shutil.rmtree(stale)
        hidden = home / f".{run.name}"
        shutil.move(run, hidden)  # perhaps from another disk, file by file
        hidden.rename(home / run.name)
        done += 1
    return Tracked("offline", len(records), there=len(records) - done, done=done)


def _online(question: Question, results: Results, records: Records, scratch: Path) -> Tracked:
    """Sends the runs that the server has not, or not to their end; what came of it the server knows best."""
    there = _at_server(records)
    tracked = Tracked("online", len(records), there=len(there))
    lacking = {cell: record for cell, record in records.items() if cell not in there}
    if question.dry_run or not lacking:
        return tracked
    os.environ["WANDB_DATA_DIR"] = str(scratch)
    runs = [write_run(record, results.per_query(record), question.group, scratch) for record in lacking.values()]
    subprocess.run([sys.executable, "-P", "-m", "wandb", "sync", *map(str, runs)], check=False)
    left = len(lacking) - len(_at_server(lacking))
    problem = f"{left} of {len(lacking)} runs did not get through" if left else None
    return replace(tracked, done=len(lacking) - left, problem=problem)


def _at_server(records: Records) -> set[str]:
    """The ids of the runs that the server has, ended as their record says: no interrupted one, none done since."""
    runs = wandb.Api(timeout=ANSWER).runs(filters={"name": {"$in": list(records)}})
    try:
        states = {run.id: run.state for run in runs}
    except ValueError as error:
        if "Could not find project" not in str(error):
            raise
        states = {}  # the first run makes it
    return {cell for cell, record in records.items() if states.get(cell) == ENDED[record.status]}


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
