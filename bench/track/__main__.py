"""The process that talks to W&B: `question.json` in the folder it is given, and `answer.json`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import wandb

from bench.errors import BadInput, one_line
from bench.record import Record, Results, cell_id
from bench.track.tracking import ANSWER, NO_KEY, Question, Tracked, has_key
from bench.track.wandb_run import gains, write_run

ENDED = {"ok": "finished", "failed": "failed"}  # what W&B calls a run, by the status of its record

Records = Mapping[str, Record]  # by the id of the run
Write = Callable[[str], Path]  # writes the run of an id


def _main(scratch: Path) -> None:
    asked = json.loads((scratch / "question.json").read_text())
    try:
        answer = _save(**asked) if "suites" in asked else asdict(_track(Question(**asked), scratch))
    except BadInput as error:
        answer = {"bad_input": one_line(error)}
    except Exception as error:  # noqa: BLE001 — the harness tells it, and goes on
        answer = {"error": f"{type(error).__name__}: {one_line(error)}"}
    (scratch / "answer.json").write_text(json.dumps(answer))


def _save(suites: list[str]) -> dict[str, Any]:
    from bench.track.views import save  # takes a second to import, which runs do without

    return save(suites)


def _track(question: Question, scratch: Path) -> Tracked:
    results = Results(Path(question.folder))
    found = {cell_id(record.identity): record for record in results.records()}
    records = {_run_id(cell, question): found[cell] for cell in question.cells}
    gain = gains(found.values())

    def write(run_id: str) -> Path:
        record = records[run_id]
        above = gain.get(cell_id(record.identity))
        return write_run(run_id, record, above, results, question.group, scratch)

    if question.mode != "offline" and has_key():
        return _online(records, write, scratch, dry_run=question.dry_run)
    if question.mode == "online":
        return Tracked("online", len(records), problem=NO_KEY)
    return _offline(results, records, write)


def _run_id(cell: str, question: Question) -> str:
    """The cell's id; but in a trial of a sweep, which is one run, W&B has named it."""
    if "WANDB_SWEEP_ID" not in os.environ:
        return cell
    if len(question.cells) > 1:
        raise BadInput(f"WANDB_SWEEP_ID is set, and a trial of a sweep is 1 cell, not {len(question.cells)}; unset it")
    return os.environ["WANDB_RUN_ID"]


def _offline(results: Results, records: Records, write: Write) -> Tracked:
    """Writes the runs that are not in the folder, or are older than their record, each whole or not at all."""
    home = results.folder / "wandb"
    home.mkdir(exist_ok=True)
    os.environ["WANDB_DATA_DIR"] = str(home)  # where W&B keeps a table until it is sent
    done = 0
    for run_id, record in records.items():
        written = results.path(record.identity).stat().st_mtime
        if any(log.stat().st_mtime >= written for log in home.glob(f"offline-run-*-{run_id}/*.wandb")):
            continue
        run = write(run_id)
        for stale in list(home.glob(f"*offline-run-*-{run_id}")):
            shutil.rmtree(stale)
        hidden = home / f".{run.name}"
        shutil.move(run, hidden)  # perhaps from another disk, file by file
        hidden.rename(home / run.name)
        done += 1
    return Tracked("offline", len(records), there=len(records) - done, done=done)


def _online(records: Records, write: Write, scratch: Path, *, dry_run: bool) -> Tracked:
    """Sends the runs that the server has not, or not to their end; what came of it the server knows best."""
    there = _at_server(records)
    tracked = Tracked("online", len(records), there=len(there))
    lacking = {run_id: record for run_id, record in records.items() if run_id not in there}
    if dry_run or not lacking:
        return tracked
    os.environ["WANDB_DATA_DIR"] = str(scratch)
    runs = [write(run_id) for run_id in lacking]
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
    return {run_id for run_id, record in records.items() if states.get(run_id) == ENDED[record.status]}


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
