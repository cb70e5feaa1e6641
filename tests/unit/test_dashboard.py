"""The dashboard: what W&B is to store, which keys it draws, and that runs hold them."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli import main
from bench.record import Record, Results, cell_id
from bench.track import tracking
from bench.track.views import views
from bench.track.wandb_run import gains, setting, summary

SNAPSHOT = Path(__file__).with_name("dashboard.json")  # tunebench dashboard quick --dry-run
WriteCell = Callable[..., Record]


def invoke(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["dashboard", *arguments])
    assert result.exit_code == code, (result.exception, result.output)
    return result


def test_a_dry_run_prints_what_is_committed_and_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking.subprocess, "Popen", pytest.fail)
    monkeypatch.setattr("socket.socket.connect", pytest.fail)
    assert invoke("quick", "--dry-run").stdout == SNAPSHOT.read_text(encoding="utf-8")


def test_a_workspace_comes_first_and_then_a_report_of_each_suite_once() -> None:
    workspace, *reports = views(["quick", "mine", "quick"])
    assert (workspace["type"], workspace["name"]) == ("project-view", "nw-tunebench-v")
    assert [report["displayName"] for report in reports] == ["tunebench quick", "tunebench mine"]
    assert views([]) == [workspace]


def inside(spec: Any, name: str) -> Iterator[Any]:
    """All that stands under a name, at any depth."""
    if isinstance(spec, dict):
        yield from (value for key, value in spec.items() if key == name)
        yield from (found for value in spec.values() for found in inside(value, name))
    elif isinstance(spec, list):
        yield from (found for value in spec for found in inside(value, name))


def test_every_key_of_a_panel_is_one_that_runs_have(tmp_path: Path, write_cell: WriteCell) -> None:
    """A key that no run has is an empty panel, and nothing says so."""
    record = write_cell(
        tmp_path,
        metrics=dict.fromkeys(("ndcg@10", "recall@10", "mrr@10"), 0.5)
        | {"seen": {"ndcg@10": 0.5}, "unseen": {"ndcg@10": 0.5}},
        seconds={"reencode": 1.0, "search": 1.0},
        memory={"rss": 1, "device": 1},
        curves={"loss": [1.0], "dev": [1.0], "tuned_dev": [1.0]},
    )
    curves = {key for name in record.curves for key in (name, f"{name}/nth")}
    single = set(summary(record, gain=0.0))
    for view in views(["quick"]):
        configs = list(inside(view["spec"], "config"))
        drawn = {key for config in configs if config for key in config.get("metrics", [])}
        drawn |= {config["xAxis"] for config in configs if config and "/nth" in config.get("xAxis", "")}
        assert drawn <= curves | single
        assert drawn >= curves
        columns = {key for order in inside(view["spec"], "columnOrder") for key in order} - {"run:displayName"}
        points = {config[axis] for config in configs if "yAxis" in config for axis in ("xAxis", "yAxis")}
        assert points == {"summary:fit_seconds", "summary:gain"}
        assert columns | points <= {f"summary:{key}" for key in single}
        rows = {key["name"] for grouping in inside(view["spec"], "grouping") for key in grouping}
        assert rows == {"setting.value", "method.value", "method_version.value"}


def test_committed_runs_have_the_keys_of_the_leaderboard() -> None:
    folder = Path(__file__).parents[2] / "results" / "quick"
    records = list(Results(folder).records())
    gain = gains(records)
    (workspace,) = views([])
    columns = [key.removeprefix("summary:") for key in next(inside(workspace["spec"], "columnOrder"))[1:]]
    for record in records:
        assert set(columns) <= set(summary(record, gain[cell_id(record.identity)]))


def test_every_panel_and_set_of_runs_of_a_view_has_an_id_of_its_own() -> None:
    _, report = views(["quick"])
    for name in ("__id__", "runSets"):
        found = list(inside(report["spec"], name))
        ids = [each if name == "__id__" else each[0]["id"] for each in found]
        assert len(set(ids)) == len(ids) > 1


NAMES = st.text(st.sampled_from(string.ascii_letters + string.digits + "éß.-_ "), min_size=1, max_size=100)


@settings(max_examples=25)
@given(name=NAMES | st.sampled_from(["None", "a and b", "not x in y", "1", "-"]))
def test_a_report_holds_the_runs_of_its_suite_alone(name: str) -> None:
    group = {"key": {"section": "run", "name": "group"}, "op": "=", "value": name, "disabled": False}
    sets = list(inside(views([name])[1]["spec"], "runSets"))
    assert [runs["filters"] for (runs,) in sets] == [{"filterFormat": "filterV2", "filters": [group]}] * len(sets)
    assert sets


@pytest.mark.parametrize("name", ["", "it's", 'say "x"', "a=b", "a\nb", "x" * 101, "☃"])
def test_a_suite_that_w_and_b_cannot_filter_by_is_bad_input(name: str) -> None:
    said = invoke("quick", name, "--dry-run", code=2).stderr
    assert said.startswith("tunebench: suite ")
    assert said.count("\n") == 1


def test_without_a_key_a_line_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    assert invoke("quick", code=2).stderr == "tunebench: no API key; `wandb login` takes one, or WANDB_API_KEY\n"


def cell(write: WriteCell, folder: Path, method: str, score: float, seed: int = 0, **identity: Any) -> Record:
    same = {"dataset": "apidocs", "encoder": "minilm", "accelerator": "cpu", "method_version": 1}
    told = {**same, "seed": seed, "method": method, **identity}
    return write(folder, seed, method=method, metrics={"ndcg@10": score}, identity=told)


def test_gain_is_over_none_in_the_same_setting_with_the_same_seed(tmp_path: Path, write_cell: WriteCell) -> None:
    def record(*told: Any, **identity: Any) -> Record:
        return cell(write_cell, tmp_path, *told, **identity)

    first, second = record("none", 0.5), record("none", 0.25, 1)
    record("none", 0.125, method_version=0)
    better, worse = record("nudge-n", 0.75, hyperparameters={"gamma": 1.0}), record("nudge-n", 0.125, 1)
    elsewhere = record("nudge-n", 0.75, accelerator="H100")
    failed = write_cell(tmp_path, 2, "failed")
    found = gains(Results(tmp_path).records())
    expected = (0.0, 0.0, 0.25, -0.125, None, None)
    for each, gain in zip((first, second, better, worse, elsewhere, failed), expected, strict=True):
        assert found.get(cell_id(each.identity)) == gain
        assert summary(each, found.get(cell_id(each.identity))).get("gain") == gain
    assert setting(first) == setting(worse) != setting(elsewhere)
