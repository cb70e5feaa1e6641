"""W&B's own agent runs a sweep: a trial is a cell, and the run that W&B has named for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.errors import BadInput
from bench.record import Results
from bench.track import track

pytestmark = pytest.mark.usefixtures("cache")


def wandb(*arguments: str) -> str:
    command = [sys.executable, "-m", "wandb", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stderr


def test_an_agent_of_w_and_b_runs_a_trial_of_a_sweep(
    toy_folder: Path, tiny_model: Path, tmp_path: Path, wandb_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("WANDB_AGENT_REPORT_INTERVAL", "0")
    monkeypatch.chdir(tmp_path)
    options = ("--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--seeds", "0", "--out", "my out")
    swept = CliRunner().invoke(main, ["sweep", "nudge-m", *options])
    Path("sweep.yaml").write_text(swept.stdout)
    wandb("sweep", "sweep.yaml")
    wandb_server.trials = [{"normalise": "true", "step": "sum"}]
    assert "W&B: 1 runs, 1 sent\n" in wandb("agent", "someone/tunebench/sweep0")
    (record,) = Results(tmp_path / "my out").records()
    assert (record.method, record.status) == ("nudge-m[step=sum,normalise=true]", "ok")
    assert list(wandb_server.runs) == ["trial0"]
    run = wandb_server.runs["trial0"]
    assert (run["state"], run["asked"]["sweep"], run["asked"]["project"]) == ("finished", "sweep0", "tunebench")
    assert json.loads(run["lines"]["wandb-summary.json"][-1])["dev"] == record.curves["dev"][-1]


def test_a_trial_of_several_cells_is_refused(tmp_path: Path, write_cell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep0")
    monkeypatch.setenv("WANDB_RUN_ID", "trial0")
    write_cell(tmp_path, 0)
    write_cell(tmp_path, 1)
    with pytest.raises(BadInput, match=r"^WANDB_SWEEP_ID is set, and a trial of a sweep is 1 cell, not 2; unset it$"):
        track(Results(tmp_path), "suite", "offline")
