"""`kill -9` at any moment: what is there is whole, and what is not is made by the same command."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from processes import scores

from bench.record import Record, Results

METHODS = (
    "none,adaptor[batch=16,steps=40],full-finetune[batch=8,steps=12,check_every=4],"
    "full-finetune[batch=8,steps=12,check_every=4]+nudge-n"
)
RUN = """
import os, sys
os.environ.update({variables!r})
sys.stdout = sys.stderr = open(os.devnull, "w")
{before}
from bench.cli import main
calls = 0
try:
    main({arguments!r})
finally:
    with open({calls!r}, "w") as file:
        file.write(str(calls))
"""
AT_CALL = """
import signal
def deadly(function):
    def counted(*arguments, **named):
        global calls
        calls += 1
        if calls == {call}:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return counted
for name in ("fsync", "replace", "rename", "unlink", "rmdir", "mkdir"):
    setattr(os, name, deadly(getattr(os, name)))
"""
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def processes() -> Any:
    """Starts processes that have imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.run.local", "bench.show", "bench.watch", "sentence_transformers"])
    return context


@pytest.fixture
def run(processes: Any, toy_folder: Path, tiny_model: Path, tmp_path: Path) -> Iterator[Run]:
    """Starts a run of a process that encodes, fits, searches and writes by itself."""
    arguments = ["run", "--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--methods", METHODS]

    def run(out: Path, before: str = "") -> Any:
        variables = {
            "OMP_NUM_THREADS": "1",
            "TUNEBENCH_WORKERS": "0",
            "TUNEBENCH_CACHE": str(out.with_suffix(".cache")),
            "WANDB_MODE": "disabled",
        }
        asked = [*arguments, "--seeds", "0,1", "--out", str(out)]
        code = RUN.format(variables=variables, before=before, arguments=asked, calls=str(calls(out)))
        process = processes.Process(target=exec, args=(code, {"__name__": "run"}))
        process.start()
        started.append(process)
        return process

    started: list[Any] = []
    yield run
    for process in started:
        process.kill()


def calls(out: Path) -> Path:
    """Where a run writes how often it has changed the disk."""
    return out.with_suffix(".calls")


def done(process: Any) -> None:
    process.join(120)
    assert process.exitcode == 0


def whole(out: Path) -> None:
    """Whatever record there is can be read, and so can the scores that it vouches for."""
    for path in (out / "records").glob("*.json"):
        record = Record.model_validate_json(path.read_bytes())
        assert record.status == "ok"
        assert len(pd.read_parquet(Results(out).per_query(record))) == record.counts["test_queries"]


def board(out: Path) -> str:
    """The leaderboard, but for what a clock has told."""
    return pd.read_csv(out / "leaderboard.csv").filter(regex="method|ndcg|recall|mrr|map|seeds|gain").to_csv()


def unharmed(out: Path, alone: Path) -> None:
    """All is as it is without any fault."""
    assert scores(out) == scores(alone)
    assert board(out) == board(alone)
    assert not (out / ".scratch").exists()
    assert not [left for left in out.rglob(".*") if left.name != ".runs"]


@pytest.mark.parametrize("times", [4, pytest.param(50, marks=pytest.mark.long)])
def test_at_random_moments(run: Run, tmp_path: Path, times: int, tally: Any) -> None:
    alone = tmp_path / "alone"
    done(run(alone))
    shutil.rmtree(tmp_path / "alone.cache")
    shutil.rmtree(alone)
    began = time.monotonic()
    done(run(alone))
    usual = time.monotonic() - began
    draw, killed, out = np.random.default_rng(0), 0, tmp_path / "out"
    while killed < times:
        process = run(out)
        process.join(draw.uniform(0, usual))
        if process.exitcode is None:
            process.kill()
            process.join()
            killed += 1
            whole(out)
        else:
            done(process)
            unharmed(out, alone)
            out = tmp_path / f"out after {killed}"
    done(run(out))
    unharmed(out, alone)
    tally("kill -9 at random moments of a run, and the same command again", times)


@pytest.mark.parametrize("times", [4, pytest.param(50, marks=pytest.mark.long)])
def test_between_any_two_changes_of_the_disk(run: Run, tmp_path: Path, times: int, tally: Any) -> None:
    alone = tmp_path / "alone"
    done(run(alone, AT_CALL.format(call=0)))
    last = int(calls(alone).read_text())
    assert last > 50
    for number, call in enumerate(
        np.random.default_rng(1).choice(np.arange(1, last + 1), times, replace=False).tolist()
    ):
        out = tmp_path / f"out {number}"
        process = run(out, AT_CALL.format(call=call))
        process.join(120)
        assert process.exitcode == -9
        whole(out)
        done(run(out))
        unharmed(out, alone)
    tally("kill -9 between two changes of the disk, and the same command again", times)
