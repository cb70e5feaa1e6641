"""Records as W&B runs: what is written offline, read back with W&B's own reader, and when nothing is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.errors import BadInput
from bench.record import Record, Results, cell_id
from bench.terminal import waiting
from bench.track import chosen_mode, track, tracking, wandb_state

pytestmark = pytest.mark.usefixtures("cache")
WriteCell = Callable[..., Record]
TUNED = {
    "method": "adaptor[batch=4,steps=3]+nudge-n[gamma=0.5]",
    "metrics": {
        "ndcg@10": 0.5,
        "seen": {"queries": 2, "ndcg@10": 0.25},
        "nearest": {"unseen": {"queries": 0}, "<.6": {"queries": 2, "ndcg@10": 0.125}},
    },
    "seconds": {"load": 0.5, "fit": 1.0, "reencode": 0.5},
    "counts": {"steps": 3},
    "memory": {"rss": 10**9},
    "environment": {"torch": "2.13.0", "cores": 2},
    "chosen": {"links": [{"steps": 3}, {"gamma": 0.5}]},
    "curves": {"loss": [3.0, float("nan"), 1.0], "dev": [0.25, 0.5], "gamma": [0.5]},
    "notes": ["a note", "another"],
}


def runs(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*"))


def inspect(run: Path, *options: str) -> str:
    """What W&B's own reader says of a run."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(run)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run_of(folder: Path, record: Record) -> Path:
    (run,) = (run for run in runs(folder) if run.name.endswith(cell_id(record.identity)))
    return run


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory, write_cell: WriteCell) -> dict[str, Any]:
    """A folder with a tuned, a failed and a skipped cell, tracked offline."""
    folder = tmp_path_factory.mktemp("results") / "mine"
    tuned = write_cell(folder, **TUNED)
    kept = Results(folder).artefact(tuned.identity)
    kept.mkdir(parents=True)
    (kept / "tuned.json").write_text("{}")
    failed = write_cell(folder, 1, "failed")
    write_cell(folder, 2, "skipped")
    tracked = track(Results(folder), "suite", "offline")
    return {"folder": folder, "tuned": tuned, "failed": failed, "tracked": tracked}


@pytest.fixture(scope="module")
def written(cells: dict[str, Any]) -> list[dict[str, Any]]:
    """What the log of the tuned cell's run holds."""
    return [json.loads(line) for line in inspect(run_of(cells["folder"], cells["tuned"])).splitlines()]


def of_type(written: list[dict[str, Any]], kind: str) -> list[Any]:
    return [each[kind] for each in written if each["type"] == kind]


def test_a_run_says_which_cell_it_is(cells: dict[str, Any], written: list[dict[str, Any]]) -> None:
    (run,) = of_type(written, "run")
    tuned = cells["tuned"]
    assert run["run_id"] == cell_id(tuned.identity)
    assert run["display_name"] == "apidocs · adaptor[batch=4,steps=3]+nudge-n[gamma=0.5] · seed 0"
    assert (run["project"], run["run_group"], run["job_type"]) == ("tunebench", "suite", "adaptor+nudge-n")
    assert run["tags"] == ["apidocs", "minilm", "cpu"]
    assert run["notes"] == "a note\nanother"
    config = {name: value for name, value in run["config"]["update"].items() if name != "_wandb"}
    assert config.pop("setting").startswith("apidocs · minilm · cpu · ")
    assert config == tuned.identity


def test_a_runs_summary_holds_metrics_and_costs(cells: dict[str, Any]) -> None:
    found = json.loads(inspect(run_of(cells["folder"], cells["tuned"]), "--summary"))
    summary = {name: value for name, value in found["summary"].items() if name[0] != "_" and name != "per_query"}
    assert summary == {
        "ndcg@10": 0.5,
        "seen/queries": 2,
        "seen/ndcg@10": 0.25,
        "nearest/unseen/queries": 0,
        "nearest/<.6/queries": 2,
        "nearest/<.6/ndcg@10": 0.125,
        "fit_seconds": 1.5,
        "seconds/load": 0.5,
        "seconds/fit": 1.0,
        "seconds/reencode": 0.5,
        "counts/steps": 3,
        "memory/rss": 10**9,
        "chosen/links/0/steps": 3,
        "chosen/links/1/gamma": 0.5,
        "environment/torch": "2.13.0",
        "environment/cores": 2,
        "loss": 1.0,
        "dev": 0.5,
        "gamma": 0.5,
    }
    assert (found["state"], found["exit_code"]) == ("finished", 0)


def test_what_was_kept_goes_along(cells: dict[str, Any], written: list[dict[str, Any]]) -> None:
    (kept,) = (each for each in of_type(written, "artifact") if each["type"] == "tuned")
    assert kept["name"] == cell_id(cells["tuned"].identity)
    assert [each["path"] for each in kept["manifest"]["contents"]] == ["tuned.json"]


def test_each_curve_has_its_own_steps(written: list[dict[str, Any]]) -> None:
    rows = [history["item"] for history in of_type(written, "history")]
    curves = {
        name: [(row[f"{name}/nth"], repr(row[name])) for row in rows if name in row]
        for name in ("loss", "dev", "gamma")
    }
    assert curves["dev"] == [(0, "0.25"), (1, "0.5")]
    assert curves["gamma"] == [(0, "0.5")]
    assert [nth for nth, _ in curves["loss"]] == [0, 1, 2]
    assert "nan" in curves["loss"][1][1].lower()
    steps = {metric["name"]: metric.get("step_metric") for metric in of_type(written, "metric")}
    assert {name: steps[name] for name in curves} == {name: f"{name}/nth" for name in curves}


def test_a_run_has_a_table_of_the_queries(cells: dict[str, Any]) -> None:
    (path,) = run_of(cells["folder"], cells["tuned"]).glob("files/media/table/per_query*.table.json")
    table = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert table["columns"] == ["query_id", "nearest", "ndcg@10"]
    assert table["data"] == [["q1", 0.25, 0.0], ["q2", None, 1.0]]


def test_a_failed_cell_is_a_failed_run_with_the_reason(cells: dict[str, Any]) -> None:
    found = json.loads(inspect(run_of(cells["folder"], cells["failed"]), "--summary"))
    assert (found["state"], found["exit_code"]) == ("failed", 1)
    assert found["summary"]["reason"] == found["notes"] == "bad luck"
    assert "per_query" not in found["summary"]


def test_a_skipped_cell_is_no_run(cells: dict[str, Any]) -> None:
    assert (cells["tracked"].runs, cells["tracked"].done) == (2, 2)
    assert len(runs(cells["folder"])) == 2


def test_what_is_of_this_machine_alone_is_not_in_a_run(cells: dict[str, Any]) -> None:
    (run,) = (run for run in runs(cells["folder"]) if run.name.endswith(cell_id(cells["failed"].identity)))
    assert [path.name for path in (run / "files").rglob("*") if path.is_file()] == []


def test_runs_that_are_there_are_left_and_changed_records_replace_theirs(tmp_path: Path, write_cell: WriteCell) -> None:
    results = Results(tmp_path)
    write_cell(tmp_path, 0)
    again = write_cell(tmp_path, 1, "failed")
    assert track(results, "suite", "offline").done == 2
    before = runs(tmp_path)
    tracked = track(results, "suite", "offline")
    assert (tracked.runs, tracked.there, tracked.done, tracked.problem) == (2, 2, 0, None)
    assert runs(tmp_path) == before
    write_cell(tmp_path, 1)
    assert str(track(results, "suite", "offline")) == "W&B: 2 runs, 1 there already, 1 written"
    assert len(runs(tmp_path)) == 2
    assert json.loads(inspect(run_of(tmp_path, again), "--summary"))["state"] == "finished"


def test_a_run_that_was_cut_short_is_written_again(tmp_path: Path, write_cell: WriteCell) -> None:
    record = write_cell(tmp_path)
    for name in (".offline-run-1", "offline-run-2"):
        (tmp_path / "wandb" / f"{name}-{cell_id(record.identity)}" / "files").mkdir(parents=True)
    assert track(Results(tmp_path), "suite", "offline").done == 1
    assert json.loads(inspect(run_of(tmp_path, record), "--summary"))["state"] == "finished"
    assert [path.name for path in (tmp_path / "wandb").glob(".*")] == []


def test_only_the_cells_that_are_asked_for_are_written(tmp_path: Path, write_cell: WriteCell) -> None:
    asked = write_cell(tmp_path, 0, dataset="folder:" + "long/" * 20 + "name")
    write_cell(tmp_path, 1)
    assert track(Results(tmp_path), "suite", "offline", {cell_id(asked.identity), "another"}).runs == 1
    (line, *_) = (line for line in inspect(run_of(tmp_path, asked)).splitlines() if '"type":"run"' in line)
    tags = json.loads(line)["run"]["tags"]
    assert len(tags[0]) == 64
    assert tags[0].endswith("long/name")


def test_a_terminal_shows_what_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for terminal, quiet, shown in (("1", False, True), ("1", True, False), ("0", False, False)):
        monkeypatch.setenv("TTY_COMPATIBLE", terminal)
        with waiting("W&B", quiet=quiet):
            pass
        captured = capsys.readouterr()
        assert ("W&B" in captured.err) == shown
        assert captured.out == ""


@pytest.mark.parametrize("mode", [None, "offline", "online", "off"])
def test_without_a_run_no_process_starts(
    tmp_path: Path, write_cell: WriteCell, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    monkeypatch.setattr(tracking.subprocess, "Popen", pytest.fail)
    write_cell(tmp_path, 0)
    assert track(Results(tmp_path), "suite", mode, set()).runs == 0
    assert track(Results(tmp_path), "suite", "off").done == 0


@pytest.mark.parametrize(
    ("asked", "said", "mode"),
    [
        (None, None, None),
        (None, "", None),
        (None, "online", "online"),
        (None, "offline", "offline"),
        (None, "dryrun", "offline"),
        (None, "disabled", "off"),
        ("online", "disabled", "online"),
        ("offline", "online", "offline"),
        ("off", "online", "off"),
        ("off", "nonsense", "off"),
    ],
)
def test_the_command_line_counts_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, asked: Any, said: str | None, mode: Any
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    if said is not None:
        monkeypatch.setenv("WANDB_MODE", said)
    assert chosen_mode(asked) == mode


def test_a_mode_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(BadInput, match=r"^WANDB_MODE=ofline: .*write online, offline or disabled$"):
        chosen_mode(None)


def test_without_a_key_online_is_a_problem_and_not_a_prompt(tmp_path: Path, write_cell: WriteCell) -> None:
    write_cell(tmp_path)
    tracked = track(Results(tmp_path), "suite", "online")
    assert str(tracked).startswith("W&B: no API key")
    assert runs(tmp_path) == []


def test_what_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, write_cell: WriteCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tracking.tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(tracking, "PATIENCE", 0.0)
    monkeypatch.setattr(tracking, "PER_RUN", 1.5)
    write_cell(tmp_path, curves={"loss": [0.5] * 100_000})
    tracked = track(Results(tmp_path), "suite", "offline")
    assert str(tracked) == "W&B: not done after 2 s"
    assert runs(tmp_path) == []
    assert list(scratch.iterdir()) == []
    running = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in running if str(scratch) in command]


def test_a_process_that_ends_with_an_error_is_a_problem(
    tmp_path: Path, write_cell: WriteCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cell(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(tracking.sys, "executable", "/bin/false")
        assert str(track(Results(tmp_path), "suite", "offline")) == "W&B: wandb ended with code 1"
        patch.setattr(tracking.sys, "executable", str(tmp_path / "missing"))
        assert "No such file" in str(track(Results(tmp_path), "suite", "offline"))
    (tmp_path / "per_query").rename(tmp_path / "elsewhere")
    assert str(track(Results(tmp_path), "suite", "offline")).startswith("W&B: FileNotFoundError: ")
    assert runs(tmp_path) == []


def invoke(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, (result.exception, result.stderr)
    return result


@pytest.fixture
def toy_run(toy_folder: Path, tiny_model: Path, tmp_path: Path) -> Callable[..., Result]:
    def run(*options: str, code: int = 0) -> Result:
        arguments = ["--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--out", str(tmp_path / "out")]
        return invoke("run", *arguments, "--seeds", "0", *options, code=code)

    return run


def test_a_run_without_a_key_writes_its_cells_offline(
    toy_run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    folder = tmp_path / "out"
    first = toy_run("--methods", "none,nudge-n")
    assert first.stderr.endswith(f"W&B: 2 runs, 2 written; `tunebench push {folder}` sends them\n")
    assert "W&B" not in first.stdout
    assert {run.name[-64:] for run in runs(folder)} == {path.stem for path in folder.glob("records/*")}
    (run, _) = runs(folder)
    assert '"run_group":"toy"' in inspect(run)
    assert "W&B" not in toy_run("--methods", "none,nudge-n").stderr, "nothing ran, and nobody asked for W&B"
    assert "W&B: 2 runs, 2 there already" not in toy_run("--methods", "none,nudge-n", "--wandb", "offline").stderr
    json_run = toy_run("--methods", "nudge-m", "--json")
    json.loads(json_run.stdout)
    assert json_run.stderr == ""
    assert len(runs(folder)) == 3


def test_off_writes_nothing(toy_run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    toy_run("--methods", "none", "--wandb", "off")
    assert not (tmp_path / "out" / "wandb").exists()


def test_what_had_a_record_is_tracked_when_it_is_asked_for(toy_run: Callable[..., Result], tmp_path: Path) -> None:
    toy_run("--methods", "none")
    assert not (tmp_path / "out" / "wandb").exists()
    asked = toy_run("--methods", "none", "--wandb", "offline")
    assert "W&B: 1 runs, 1 written" in asked.stderr


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """wandb is not installed."""
    find, version = util.find_spec, metadata.version

    def missing(name: str) -> str:
        if name == "wandb":
            raise metadata.PackageNotFoundError
        return version(name)

    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "wandb" else find(name))
    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.delenv("WANDB_MODE")


@pytest.mark.usefixtures("no_package")
def test_without_the_package_runs_say_nothing_of_it(toy_run: Callable[..., Result], tmp_path: Path) -> None:
    assert "W&B" not in toy_run("--methods", "none").stderr
    assert not (tmp_path / "out" / "wandb").exists()
    assert wandb_state() == ("absent", "not installed; pip install wandb")


@pytest.mark.usefixtures("no_package")
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_without_the_package_asking_for_it_is_bad_input(
    toy_run: Callable[..., Result], tmp_path: Path, mode: str
) -> None:
    result = toy_run("--methods", "none", "--wandb", mode, code=2)
    assert result.stderr == f"tunebench: --wandb {mode}: wandb is not installed; pip install wandb\n"
    assert not (tmp_path / "out").exists()
    assert "pip install wandb" in invoke("push", str(tmp_path), code=2).stderr


def test_push_of_a_folder_without_records_is_bad_input(tmp_path: Path) -> None:
    assert "holds no records" in invoke("push", str(tmp_path / "missing"), code=2).stderr


STATE = """
import os
del os.environ["WANDB_MODE"]
os.environ |= {environment!r}
from bench.track import wandb_state
print(*wandb_state())
"""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "ok {version}; without --wandb: offline (no key)"),
        ({"WANDB_API_KEY": "k" * 40}, "ok {version}; without --wandb: online (a key)"),
        ({"WANDB_MODE": "disabled", "WANDB_API_KEY": "k" * 40}, "ok {version}; without --wandb: off (WANDB_MODE)"),
        ({"WANDB_API_KEY": "short"}, "broken WANDB_API_KEY invalid: "),
        ({"WANDB_MODE": "ofline"}, "broken WANDB_MODE=ofline: "),
    ],
)
def test_doctor_knows_what_becomes_of_runs(environment: dict[str, str], said: str) -> None:
    """In a process of its own: W&B reads a key once."""
    command = [sys.executable, "-c", STATE.format(environment=environment)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.startswith(said.format(version=metadata.version("wandb")))
    assert "kkkk" not in done.stdout + done.stderr
