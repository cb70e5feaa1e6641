"""Cells in processes of their own: what becomes of one that dies, hangs, is stopped, or has company."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import Start, Tally, by_method, ended, scores, until

pytestmark = pytest.mark.usefixtures("faulty")


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes whose parent it is: the worker, and what multiprocessing adds."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process.pid and fields[0] != "Z":
            found.append(int(status.parent.name))
    assert found
    return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def begun(out: Path, method: str) -> bool:
    """Whether the latest run has begun with a method's cell."""
    lines = [line for path in (out / ".runs").glob("*.jsonl") for line in path.read_text().splitlines()]
    return any(f'"{method}' in line and '"what": "begun"' in line for line in lines)


def test_a_worker_that_dies_costs_its_own_cell_alone(start: Start, tmp_path: Path, tally: Tally) -> None:
    out, mark = tmp_path / "out", tmp_path / "was here"
    methods = f"none,dies,dies[of=SIGSEGV],dies[once={mark}],hangs,hangs[stiff=true],blabs,nudge-m"
    said = ended(start(methods, "--timeout", "10"), code=1)
    found = by_method(out)
    assert {method: record.status for method, record in found.items()} == {
        "none": "ok",
        "dies": "failed",
        "dies[of=SIGSEGV]": "failed",
        f"dies[once={mark}]": "ok",
        "hangs": "failed",
        "hangs[stiff=true]": "failed",
        "blabs": "failed",
        "nudge-m": "ok",
    }
    log = {method: Path("logs") / f"{name}.log" for method, name in names(out).items()}
    assert found["dies"].reason == (
        f"the worker died: killed from outside (SIGKILL), as the system does when memory runs out; see {log['dies']}"
    )
    assert (out / log["dies"]).read_text() == "its last words\n"
    assert "a segmentation fault (SIGSEGV)" in (found["dies[of=SIGSEGV]"].reason or "")
    assert "faulty.py" in (out / log["dies[of=SIGSEGV]"]).read_text(), "faulthandler says where it was"
    for hanging in ("hangs", "hangs[stiff=true]"):
        assert (found[hanging].reason or "").startswith("not done within the timeout, so its worker was ended")
        assert "faulty.py" in (out / log[hanging]).read_text()
    for method in ("dies", "dies[of=SIGSEGV]", "hangs", f"dies[once={mark}]"):
        assert f"{method} · seed 0: " in said
        assert said.count(f"{method} · seed 0: ") == 2, "it was tried twice"
    assert not (out / log["none"]).exists(), "it printed nothing"
    tally("a worker that dies or hangs (cells beside its own)", 5)


def names(out: Path) -> dict[str, str]:
    return {json.loads(path.read_text())["method"]: path.stem for path in (out / "records").iterdir()}


def test_a_secret_is_in_no_record_and_in_no_log(start: Start, tmp_path: Path) -> None:
    said = ended(start("blabs"), code=1)
    record = by_method(tmp_path / "out")["blabs"]
    assert record.reason == "RuntimeError: refused: [redacted] (faulty.py, line 72)"
    assert record.notes == ["a note with [redacted]"]
    (log,) = (tmp_path / "out" / "logs").iterdir()
    assert "printed [redacted]\n" in log.read_text()
    assert "RuntimeError: refused: [redacted]" in log.read_text(), "with the whole traceback"
    assert "what-nobody-may-read" not in said
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"what-nobody-may-read" not in path.read_bytes(), path


def test_whose_code_runs_is_said_before_it_does(start: Start) -> None:
    said = ended(start("none,eats[megabytes=1]"))
    assert said.startswith("eats comes from faulty 1.0 (faulty:Eats)\n")


def test_memory_is_the_cells_own(start: Start, tmp_path: Path) -> None:
    ended(start("none,eats,adaptor[steps=2]"))
    peak = {method: record.memory["rss"] / 2**20 for method, record in by_method(tmp_path / "out").items()}
    assert peak["eats"] > max(peak["none"], peak["adaptor[steps=2]"]) + 300


def test_a_cell_alone_and_beside_others_gives_the_same(start: Start, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    chosen = ("adaptor[batch=16,steps=30],nudge-n,nudge-loo", "--seeds", "0,1")
    two = start(*chosen, "--workers", "2", out=tmp_path / "two")
    one = start(*chosen, out=tmp_path / "one")
    ended(two)
    ended(one)
    here = start(*chosen, "--workers", "0", out=tmp_path / "here")
    ended(here)
    assert scores(tmp_path / "one") == scores(tmp_path / "two") == scores(tmp_path / "here")
    assert len(scores(tmp_path / "one")) == 6
    tables = [sorted((tmp_path / out / "per_query").iterdir()) for out in ("one", "two", "here")]
    assert len({tuple((path.name, path.read_bytes()) for path in some) for some in tables}) == 1


def test_two_runs_at_once_on_the_same_results_lose_nothing(
    start: Start, tmp_path: Path, tally: Tally, toy_folder, monkeypatch
) -> None:
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "fresh"))
    chosen = ("none,full-finetune[batch=8,steps=9,check_every=3],full-finetune[batch=8,steps=9,check_every=3]+nudge-n",)
    options = ("--seeds", "0,1")
    both = [start(*chosen, *options) for _ in range(2)]
    for process in both:
        ended(process)
    ended(start(*chosen, *options, out=tmp_path / "alone"))
    assert scores(tmp_path / "out") == scores(tmp_path / "alone")
    assert len(scores(tmp_path / "out")) == 6
    assert not (tmp_path / "out" / ".scratch").exists()
    tally("two runs at once on the same results and cache", 1)


def test_ctrl_c_ends_it_within_two_seconds_and_leaves_nothing_behind(
    start: Start, tmp_path: Path, tally: Tally
) -> None:
    out = tmp_path / "out"
    process = start("none,hangs,nudge-m")
    until(lambda: begun(out, "hangs"))
    workers = workers_of(process)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all that run there
    said = ended(process, code=130)
    took = time.monotonic() - began
    assert took < 5, "it takes less than 2 where other tests leave it a processor"
    assert said.splitlines()[-1] == "tunebench: stopped; the same command goes on"
    assert "Traceback" not in said
    until(lambda: not any(map(alive, workers)), seconds=2)
    assert set(by_method(out)) == {"none"}
    assert not list((out / ".runs").glob("*.lock"))
    shown = subprocess.run(
        [sys.executable, "-c", f"from bench.cli import main; main(['status', {str(out)!r}])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "1 of 3 cells done" in shown
    assert "stopped, 2 to do; the same command goes on" in shown
    ended(start("none,nudge-m"))
    assert set(by_method(out)) == {"none", "nudge-m"}
    tally(f"Ctrl-C (gone after {took:.1f} s)", 1)


def test_a_killed_run_leaves_no_orphan_and_no_lock(start: Start, tmp_path: Path, tally: Tally) -> None:
    process = start("hangs")
    until(lambda: begun(tmp_path / "out", "hangs"))
    workers = workers_of(process)
    process.kill()
    until(lambda: not any(map(alive, workers)), seconds=2)
    ended(start("hangs[seconds=0],none"))
    assert {record.status for record in by_method(tmp_path / "out").values()} == {"ok"}
    tally("kill -9 of a run whose worker is at a cell", 1)


@pytest.mark.long
def test_a_method_that_the_budget_does_not_allow_is_ended_and_left_out(
    toy_folder: Path, tiny_model: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNEBENCH_WORKERS")
    asked = ["--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--methods", "none,nudge-n,hangs"]
    asked += ["--seeds", "0", "--budget", "90s", "--out", str(tmp_path), "--json"]
    command = [sys.executable, "-c", f"from bench.cli import main; main({['recommend', *asked]!r})"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (decision,) = json.loads(done.stdout)["decisions"]
    assert "1 split would not fit into the budget: one takes more than" in decision["left_out"]["hangs"]
