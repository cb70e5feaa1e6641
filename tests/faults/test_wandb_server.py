"""A server of W&B that works, fails, is slow or is not there: the records are whole, and come through later."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.record import Record, Results, cell_id
from bench.track import track, tracking

pytestmark = pytest.mark.usefixtures("cache")
WriteCell = Callable[..., Record]


@pytest.fixture
def folder(tmp_path: Path, write_cell: WriteCell) -> Path:
    """Two cells that are done and one that failed."""
    write_cell(tmp_path / "mine", 0, curves={"loss": [3.0, 2.0, 1.0]})
    write_cell(tmp_path / "mine", 1)
    write_cell(tmp_path / "mine", 2, "failed")
    return tmp_path / "mine"


def invoke(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, (result.exception, result.output)
    return result


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def states(server: Any) -> list[str]:
    return sorted(run["state"] for run in server.runs.values())


def check_runs_are_whole(folder: Path, server: Any) -> None:
    (cell,) = (cell_id(record.identity) for record in Results(folder).records() if record.seed == 0)
    asked, lines = server.runs[cell]["asked"], server.runs[cell]["lines"]
    assert (asked["groupName"], asked["jobType"], asked["project"]) == ("mine", "none", "tunebench")
    assert [row["loss"] for row in map(json.loads, lines["wandb-history.jsonl"]) if "loss" in row] == [3, 2, 1]
    summary = json.loads(lines["wandb-summary.json"][-1])
    assert (summary["ndcg@10"], summary["gain"]) == (0.5, 0.0)
    (table,) = (file for name, file in server.files.items() if name.startswith(f"{cell}/media/table/"))
    assert json.loads(table)["data"] == [["q1", 0.25, 0.0], ["q2", None, 1.0]]
    assert states(server) == ["failed", "finished", "finished"]


def test_push_sends_what_the_server_lacks_once_and_leaves_nothing_here(
    folder: Path, wandb_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_DIR")
    monkeypatch.chdir(folder.parent)
    before = contents(folder.parent)
    assert invoke("push", str(folder), "--dry-run").stdout == "W&B: 3 runs, 3 lacking\n"
    assert wandb_server.runs == {}
    assert invoke("push", str(folder)).stdout == "W&B: 3 runs, 3 sent\n"
    sent = {cell: dict(run) for cell, run in wandb_server.runs.items()}
    assert set(sent) == {path.stem for path in folder.glob("records/*")}
    check_runs_are_whole(folder, wandb_server)
    again = json.loads(invoke("push", str(folder), "--json").stdout)
    assert again == {"mode": "online", "runs": 3, "there": 3, "done": 0, "problem": None}
    assert wandb_server.runs == sent
    assert contents(folder.parent) == before


def test_the_project_is_the_one_that_is_set(folder: Path, wandb_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "other")
    monkeypatch.setenv("WANDB_ENTITY", "team")
    monkeypatch.setenv("WANDB_MODE", "offline")  # which is for runs: who pushes wants it to be sent
    invoke("push", str(folder))
    asked = [run["asked"] for run in wandb_server.runs.values()]
    assert {(run["entity"], run["project"]) for run in asked} == {("team", "other")}


def test_what_was_interrupted_or_has_been_repaired_is_sent_again(
    folder: Path, wandb_server: Any, write_cell: WriteCell
) -> None:
    invoke("push", str(folder))
    cells = {record.seed: cell_id(record.identity) for record in Results(folder).records()}
    wandb_server.runs[cells[0]]["state"] = "crashed"
    write_cell(folder, 2)
    assert invoke("push", str(folder)).stdout == "W&B: 3 runs, 1 there already, 2 sent\n"
    assert states(wandb_server) == ["finished"] * 3


def test_w_and_b_itself_syncs_what_was_written_offline(folder: Path, wandb_server: Any) -> None:
    assert track(Results(folder), "mine", "offline").done == 3
    assert wandb_server.keys == set(), "nobody was asked"
    runs = [str(run) for run in (folder / "wandb").glob("offline-run-*")]
    subprocess.run([sys.executable, "-m", "wandb", "sync", *runs], check=True, capture_output=True)
    check_runs_are_whole(folder, wandb_server)
    assert invoke("push", str(folder)).stdout == "W&B: 3 runs, 3 there already\n"


def test_a_connection_that_drops_once_and_answers_that_are_late_cost_nothing(folder: Path, wandb_server: Any) -> None:
    wandb_server.drops, wandb_server.delay = 1, 0.1
    assert invoke("push", str(folder)).stdout == "W&B: 3 runs, 3 sent\n"
    assert wandb_server.drops == 0
    check_runs_are_whole(folder, wandb_server)


def test_a_connection_that_keeps_dropping_costs_a_warning_and_push_sends_the_rest(
    folder: Path, wandb_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "PATIENCE", 6.0)
        patch.setattr(tracking, "PER_RUN", 0.0)
        wandb_server.drops = 1000
        assert invoke("push", str(folder), code=1).stdout == "W&B: not done after 6 s\n"
    assert "running" in states(wandb_server)
    assert contents(folder) == before
    wandb_server.drops = 0
    invoke("push", str(folder))
    check_runs_are_whole(folder, wandb_server)


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(
    folder: Path, wandb_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb_server.delay = 60.0
    monkeypatch.setattr(tracking, "PATIENCE", 3.0)
    monkeypatch.setattr(tracking, "PER_RUN", 0.0)
    began = time.monotonic()
    assert invoke("push", str(folder), code=1).stdout == "W&B: not done after 3 s\n"
    assert time.monotonic() - began < 5


def test_a_server_that_breaks_down_midway_is_told(folder: Path, wandb_server: Any) -> None:
    wandb_server.status["UpsertBucket"] = 500
    assert invoke("push", str(folder), code=1).stdout == "W&B: 3 of 3 runs did not get through\n"


@pytest.fixture
def run(toy_folder: Path, tiny_model: Path, tmp_path: Path) -> Callable[..., Result]:
    def run(*options: str) -> Result:
        arguments = ["--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--out", str(tmp_path / "out")]
        return invoke("run", *arguments, "--methods", "none,nudge-m", "--seeds", "0", *options)

    return run


def test_a_run_with_a_key_goes_online_and_leaves_the_key_nowhere(
    run: Callable[..., Result], tmp_path: Path, wandb_server: Any
) -> None:
    done = run()
    assert done.stderr.endswith("W&B: 2 runs, 2 sent\n")
    assert {run["asked"]["groupName"] for run in wandb_server.runs.values()} == {"toy"}
    wandb_server.status[""] = 500
    failed = run("--wandb", "online")
    offline = run("--wandb", "offline")
    assert len(wandb_server.keys) == 2, "with the key, and without"
    assert offline.stderr.count("written") == 1
    written = contents(tmp_path)
    assert any("wandb" in name for name in written)
    assert not [name for name, content in written.items() if wandb_server.key.encode() in content]
    assert wandb_server.key not in done.output + failed.output + offline.output


@pytest.mark.parametrize("fault", ["500", "dead", "rejects"])
def test_a_server_that_is_of_no_use_costs_a_run_a_warning(
    run: Callable[..., Result], tmp_path: Path, wandb_server: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "dead":
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    else:
        wandb_server.status[""] = int(fault) if fault.isdigit() else 401
    done = run()
    *_, last = done.stderr.splitlines()
    assert last.startswith("W&B: AuthenticationError: Failed to ")
    assert last.endswith(f"; `tunebench push {tmp_path / 'out'}` sends them")
    assert [record.status for record in Results(tmp_path / "out").records()] == ["ok", "ok"]
    assert done.stdout.rstrip().endswith("leaderboard.html")
    assert wandb_server.runs == {}
