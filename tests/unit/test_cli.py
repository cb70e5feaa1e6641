"""The command line: what it prints, where, and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner, Result

from bench import listing
from bench.cli import main
from bench.data.catalogue import CATALOGUE as DATASETS
from bench.embed.encoders import CATALOGUE as ENCODERS
from bench.record import Results
from bench.spec import suite_names
from methods import _registry, load_method, method_names, parse

pytestmark = pytest.mark.usefixtures("cache")
Run = Callable[..., Result]


def invoke(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments, env={"COLUMNS": "40"})
    assert result.exit_code == code, (result.exception, result.stderr)
    return result


def dry_rows(result: Result) -> list[dict[str, str]]:
    """The cells of a dry run."""
    cells: list[dict[str, str]] = json.loads(result.stdout)["cells"]
    return cells


@pytest.fixture
def run(toy_folder: Path, tiny_model: Path, tmp_path: Path) -> Run:
    def run(*options: str, code: int = 0) -> Result:
        arguments = ["--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--out", str(tmp_path / "out")]
        return invoke("run", *arguments, *options, code=code)

    return run


@pytest.mark.parametrize(
    ("what", "known"),
    [
        ("methods", method_names()),
        ("datasets", [*DATASETS, "mteb/TASK", "folder:PATH"]),
        ("encoders", [*ENCODERS, "st:ID_OR_FOLDER"]),
        ("suites", suite_names()),
    ],
)
def test_list_shows_what_is_registered(what: str, known: Any) -> None:
    rows = json.loads(invoke("list", what, "--json").stdout)
    assert [row["name"] for row in rows] == list(known)
    plain = invoke("list", what).stdout
    for row in rows:
        assert all(value in plain for value in row.values()), "the plain list shows it whole"
        assert row["about"]
        assert len({frozenset(other) for other in rows}) == 1


def test_list_methods_shows_every_hyperparameter() -> None:
    rows = {row["name"]: row for row in json.loads(invoke("list", "methods", "--json").stdout)}
    for name, row in rows.items():
        method = load_method(name)()
        assert [setting.partition("=")[0] for setting in row["settings"].split(", ") if setting] == list(vars(method))
        assert parse(f"{name}[{row['settings']}]") == method
        assert row["version"] == str(method.version)
        assert row["from"] == "tunebench"


def test_list_methods_shows_what_can_be_tuned() -> None:
    rows = {row["name"]: row for row in json.loads(invoke("list", "methods", "--json").stdout)}
    assert rows["none"]["space"] == ""
    assert rows["nudge-m"]["space"] == "step=unit|sum, normalise=false|true"
    assert "learning_rate=0.0001–0.01 (log), scale=5.0–50.0" in rows["adaptor"]["space"]


def test_list_methods_says_why_one_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> NoReturn:
        raise ModuleNotFoundError("No module named 'someone'")

    names: Any = {**method_names(), "borrowed": SimpleNamespace(value="other.package", dist=None, load=load)}
    monkeypatch.setattr(_registry, "method_names", lambda: names)
    monkeypatch.setattr(listing, "method_names", lambda: names)
    rows = {row["name"]: row for row in json.loads(invoke("list", "methods", "--json").stdout)}
    assert "No module named 'someone'" in rows["borrowed"]["about"]
    assert rows["borrowed"]["from"] == "other.package"
    assert set(rows) == set(names), "it breaks nothing else"


def test_run_and_report_print_json_and_nothing_else(run: Run, tmp_path: Path) -> None:
    ran = json.loads(run("--methods", "none,nudge-n", "--seeds", "0,1", "--json").stdout)
    assert sorted(row["method"] for row in ran["rows"]) == ["none", "nudge-n"]
    scores = {record.method: [] for record in Results(tmp_path / "out").records()}
    for record in Results(tmp_path / "out").records():
        scores[record.method].append(record.metrics["ndcg@10"])
    for row in ran["rows"]:
        assert float(row["ndcg@10"]) == pytest.approx(sum(scores[row["method"]]) / 2)
        assert row["seeds"] == "0 1"
    assert Path(ran["page"]).is_file()
    assert json.loads(invoke("report", str(tmp_path / "out"), "--json").stdout) == ran


def test_run_prints_the_leaderboard_on_stdout_and_progress_on_stderr(run: Run, tmp_path: Path) -> None:
    result = run("--methods", "none", "--seeds", "0")
    assert "1 of 1 cells to run" in result.stderr
    assert "none · seed 0: ndcg@10 0." in result.stderr
    assert "cells to run" not in result.stdout
    assert "NDCG@10" in result.stdout
    assert result.stdout.rstrip().endswith(f"page: {(tmp_path / 'out' / 'leaderboard.html').resolve()}")


def test_report_writes_the_leaderboards_and_prints_them(run: Run, tmp_path: Path) -> None:
    run("--methods", "none,nudge-m", "--seeds", "0")
    written = [tmp_path / "out" / f"leaderboard.{kind}" for kind in ("md", "csv", "html")]
    before = {path: path.read_bytes() for path in written}
    for path in written:
        path.unlink()
    printed = invoke("report", str(tmp_path / "out")).stdout
    assert {path: path.read_bytes() for path in written} == before
    assert "nudge-m" in printed


def test_without_a_terminal_nothing_is_cut_or_folded(run: Run) -> None:
    label = "adaptor[batch=17,steps=3,warmup=2,learning_rate=0.0123,scale=19.5,check_every=2]+nudge-n[gamma=0.31]"
    assert len(label) > 80
    result = run("--methods", f"none,{label}", "--seeds", "0")
    assert any(line.strip().startswith(label) for line in result.stdout.splitlines())
    assert any(f" {label} · seed 0: ndcg@10 " in line for line in result.stderr.splitlines())
    assert "…" not in result.stdout
    assert "\x1b" not in result.stdout + result.stderr


def test_commas_split_but_not_inside_brackets(run: Run) -> None:
    asked = "none, adaptor[batch=64,steps=9]+nudge-n[gamma=0.3,compat=reference] ,nudge-m[gamma=1],"
    rows = dry_rows(run("--methods", asked, "--seeds", "3", "--dry-run", "--json"))
    labels = [row["cell"].split(" · ")[2] for row in rows]
    assert labels == ["none", "adaptor[batch=64,steps=9]+nudge-n[gamma=0.3,compat=reference]", "nudge-m[gamma=1.0]"]


def test_tuned_rows_stand_beside_the_others(run: Run, tmp_path: Path) -> None:
    result = run("--methods", "none,nudge-m,nudge-n", "--seeds", "0", "--tune", "3")
    assert "nothing more to tune, so one row each: none, nudge-n\n" in result.stderr
    again = json.loads(run("--methods", "none,nudge-m,nudge-n", "--seeds", "0", "--tune", "3", "--json").stdout)
    assert sorted(row["method"] for row in again["rows"]) == ["none", "nudge-m", "nudge-m[tune=3]", "nudge-n"]
    found = {record.method: record for record in Results(tmp_path / "out").records()}
    assert found["none"].chosen == {}
    assert set(found["nudge-m"].chosen) == {"gamma"}
    assert set(found["nudge-m[tune=3]"].chosen) == {"gamma", "step", "normalise", "tune"}
    assert 2 <= found["nudge-m[tune=3]"].counts["trials"] <= 3


def test_without_tune_nothing_is_said_of_it(run: Run) -> None:
    assert "tune" not in run("--methods", "none,nudge-m", "--seeds", "0", "--dry-run").stderr


@pytest.mark.parametrize("trials", ["1", "0", "-5", "many"])
def test_too_few_trials_are_refused(run: Run, tmp_path: Path, trials: str) -> None:
    result = run("--methods", "none,nudge-m", "--tune", trials, code=2)
    assert "tune" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_dry_run_runs_nothing_and_writes_nothing(
    run: Run, tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache of this test"))
    before = sorted(path for path in toy_folder.rglob("*"))
    rows = dry_rows(run("--methods", "none,nudge-n", "--seeds", "0,1", "--dry-run", "--json"))
    assert [row["state"] for row in rows] == ["would run"] * 4
    assert list(tmp_path.iterdir()) == []
    assert sorted(path for path in toy_folder.rglob("*")) == before


def test_a_dry_run_says_what_has_a_record(run: Run) -> None:
    run("--methods", "none", "--seeds", "0")
    rows = dry_rows(run("--methods", "none,nudge-n", "--seeds", "0", "--dry-run", "--json"))
    assert [row["state"] for row in rows] == ["ok", "would run"]
    rows = dry_rows(run("--methods", "none", "--seeds", "0", "--dry-run", "--json", "--overwrite", "always"))
    assert [row["state"] for row in rows] == ["would run"]
    plain = run("--methods", "none,nudge-n", "--seeds", "0", "--dry-run").stdout
    assert "would run" in plain
    assert "nudge-n · seed 0" in plain


def test_without_a_suite_or_data_the_usage_is_shown() -> None:
    result = invoke("run", code=2)
    assert "name a suite" in result.stderr
    assert "Usage:" in result.stderr
    assert result.stdout == ""


def test_data_alone_takes_the_methods_and_seeds_of_quick(toy_folder: Path, tmp_path: Path) -> None:
    from bench.spec import read_suite

    quick = read_suite("quick")
    arguments = ["--data", str(toy_folder), "--out", str(tmp_path / "out"), "--dry-run", "--json"]
    cells = [row["cell"] for row in dry_rows(invoke("run", *arguments))]
    assert cells == [
        f"folder:{toy_folder} · minilm · {method} · seed {seed}"
        for seed in quick.seeds
        for method in quick.methods_of(toy_folder.name)
    ]


def test_options_stand_in_for_what_a_suite_says(toy_folder: Path, tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(f'datasets = ["folder:{toy_folder}"]\nmethods = ["none", "nudge-m"]\nseeds = [0, 1]\nlimit = 50\n')
    arguments = [str(suite), "--out", str(tmp_path / "out"), "--dry-run", "--json"]
    assert len(dry_rows(invoke("run", *arguments))) == 4
    assert len(dry_rows(invoke("run", *arguments, "--seeds", "7"))) == 2
    cells = [row["cell"] for row in dry_rows(invoke("run", *arguments, "--seeds", "7", "--methods", "nudge-n"))]
    assert cells == [f"folder:{toy_folder} · minilm · nudge-n · seed 7"]


def test_results_go_to_a_folder_of_the_suites_name(
    toy_folder: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["--methods", "none", "--seeds", "0", "--encoder", f"st:{tiny_model}"]
    (tmp_path / "a folder, my own").symlink_to(toy_folder)
    invoke("run", "--data", "a folder, my own", *common)
    (tmp_path / "mine.toml").write_text(f'datasets = ["folder:{toy_folder}"]\nmethods = ["none"]\nseeds = [0]\n')
    invoke("run", "mine.toml", *common)
    found = {path.parent.name for path in (tmp_path / "results" / "local").glob("*/leaderboard.md")}
    assert found == {"mine", "toy"}


def test_doctor_tells_what_works_and_what_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = {row["check"]: row for row in json.loads(invoke("doctor", "--json").stdout)}
    assert rows["torch"]["state"] == rows["cache"]["state"] == rows["minilm"]["state"] == "ok"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "file"))
    rows = {row["check"]: row for row in json.loads(invoke("doctor", "--json", code=1).stdout)}
    assert rows["cache"]["state"] == "broken"
    assert "set TUNEBENCH_CACHE" in rows["cache"]["found"]


def test_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert version("tunebench") in invoke("--version").stdout
