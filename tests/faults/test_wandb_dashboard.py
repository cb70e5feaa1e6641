"""A server of W&B takes the dashboard, or fails, is slow or is not there: one line says so, and soon."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.track import dashboard
from bench.track.views import views


def invoke(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["dashboard", *arguments])
    assert result.exit_code == code, (result.exception, result.output)
    return result


def test_the_server_takes_the_views_of_a_dry_run_and_a_second_time_puts_them_in_their_place(
    wandb_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WANDB_DIR")
    monkeypatch.chdir(tmp_path)
    first = invoke("quick", "mine")
    home = f"{wandb_server.url}/someone/tunebench"
    assert first.stdout.splitlines() == [
        f"tunebench: {home}?nw=tunebench",
        f"tunebench quick: {home}/reports/tunebench-quick--id1",
        f"tunebench mine: {home}/reports/tunebench-mine--id2",
    ]
    stored = [dict(view) for view in wandb_server.views]
    assert [{**view, "spec": json.loads(view["spec"])} for view in stored] == [
        {**view, "entityName": "someone", "projectName": "tunebench", "id": f"id{number}"}
        for number, view in enumerate(views(["quick", "mine"]))
    ]
    assert invoke("quick", "mine").stdout == first.stdout
    assert wandb_server.views == stored, "no second workspace, no second report"
    assert list(tmp_path.iterdir()) == []
    assert wandb_server.key not in first.output + json.dumps(stored)
    assert len(wandb_server.keys) == 1


def test_the_project_is_the_one_that_is_set(wandb_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_ENTITY", "team")
    monkeypatch.setenv("WANDB_PROJECT", "other")
    monkeypatch.setenv("WANDB_MODE", "offline")  # which is for runs
    remedy = "`tunebench push` makes it, or name another by WANDB_PROJECT"
    assert invoke("quick", code=2).stderr == f"tunebench: W&B has no project team/other; {remedy}\n"
    wandb_server.projects = {"team/other"}
    told = json.loads(invoke("--json").stdout)
    assert told == {"views": {"tunebench": f"{wandb_server.url}/team/other?nw=tunebench"}, "problem": None}


@pytest.mark.parametrize("fault", ["all", "View", "upsertView", "dead", "rejects"])
def test_a_server_that_is_of_no_use_costs_a_line(
    wandb_server: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "dead":
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    else:
        wandb_server.status["" if fault in {"all", "rejects"} else fault] = 401 if fault == "rejects" else 500
    failed = invoke("quick", code=1)
    assert failed.stdout.startswith("W&B: ")
    assert failed.output.count("\n") == 1
    assert wandb_server.key not in failed.output


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(
    wandb_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb_server.delay = 60.0
    monkeypatch.setattr(dashboard, "PATIENCE", 3.0)
    began = time.monotonic()
    assert invoke("quick", code=1).stdout == "W&B: not done after 3 s\n"
    assert time.monotonic() - began < 5
