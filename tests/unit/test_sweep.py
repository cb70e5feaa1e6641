"""A sweep: what W&B draws from, and what the command of a trial makes of what it has drawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from bench.cli import main, run
from bench.record import Results
from bench.spec import Cell
from bench.sweep import sweep
from methods import Choice, Method, Range, load_method, method_names, parse

RESULTS = Path(__file__).parents[2] / "results"
SEARCHED = [name for name in method_names() if load_method(name).space]
ONE_CELL = ("--datasets", "icon-names", "--seeds", "0")


def invoke(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["sweep", *arguments])
    assert result.exit_code == code, (result.exception, result.output)
    return result


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command of a trial as W&B's agent does, and returns what `tunebench` is given."""
    program = tmp_path / "bin" / "tunebench"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)

    def start(config: dict[str, Any], drawn: dict[str, Any]) -> list[str]:
        macros = create_sweep_command_args({"args": {name: {"value": value} for name, value in drawn.items()}})
        pairs = [macros[part[2:-1]] if part.startswith("${") else [part] for part in config["command"]]
        command = [word for words in pairs for word in words]
        told: list[str] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return told

    return start


def ends(part: dict[str, Any]) -> list[Any]:
    return part["values"] if "values" in part else [part["min"], part["max"]]


@pytest.mark.parametrize("name", SEARCHED)
def test_what_w_and_b_draws_becomes_the_label_of_the_trials_method(name: str, start: Any) -> None:
    config = yaml.safe_load(invoke(name, *ONE_CELL).stdout)
    kind = load_method(name)
    for end in (0, -1):
        drawn = {key: ends(part)[end] for key, part in config["parameters"].items()}
        command, *options = start(config, drawn)
        asked = run.make_context("run", options).params
        declared = {
            key: (part.values if isinstance(part, Choice) else (part.low, part.high))[end]
            for key, part in kind.space.items()
        }
        assert (command, asked["datasets"], asked["seeds"], asked["wandb"]) == ("run", ("icon-names",), (0,), "online")
        assert [parse(label) for label in asked["methods"]] == [replace(kind(), **declared)]


@pytest.mark.parametrize("name", SEARCHED)
def test_the_dev_queries_judge_a_trial(name: str) -> None:
    config = yaml.safe_load(invoke(name, *ONE_CELL).stdout)
    assert config["metric"] == {"name": "dev", "goal": "maximize"}
    for folder in ("embedded", "nudge"):
        for record in Results(RESULTS / folder).records():
            if record.status == "ok" and record.method.partition("[")[0] == name:
                assert record.curves["dev"]


def test_settings_of_the_label_stay_and_are_not_drawn(start: Any) -> None:
    config = yaml.safe_load(invoke("adaptor[scale=9,side=document]", *ONE_CELL).stdout)
    assert list(config["parameters"]) == ["learning_rate"]
    *_, label = start(config, {"learning_rate": 5e-6})
    assert parse(label) == parse("adaptor[scale=9,side=document,learning_rate=0.000005]")


def test_options_reach_the_trial_as_they_were_written(start: Any) -> None:
    options = ("--data", "it's $HOME/my data", "--seeds", "3", "--limit", "20", "--out", "a b", "--encoder", "minilm")
    told = start(yaml.safe_load(invoke("nudge-m", *options).stdout), {"step": "sum", "normalise": "true"})
    assert told == ["run", *options, "--wandb", "online", "--methods", "nudge-m[step=sum,normalise=true]"]


class Toy(Method):
    """Has a parameter of every kind."""

    name = "toy"
    space = {  # noqa: RUF012 — as methods write it
        "rate": Range(1e-6, 1.0, log=True),
        "scale": Range(0.0, 1.0),
        "layers": Range(1, 4),
        "batch": Range(8, 512, log=True),
        "kind": Choice(("a", "b")),
        "norm": Choice((False, True)),
        "share": Choice((0.5, 1.0)),
    }
    rate, scale, layers, batch, kind, norm, share = 0.1, 1.0, 1, 64, "a", False, 1.0

    def fit(self, problem: Any) -> Any:
        raise NotImplementedError


def test_a_distribution_of_w_and_b_stands_for_each_kind_of_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.sweep.parse", lambda _: Toy())
    config = yaml.safe_load(sweep([Cell("icons", "icon-clip", "toy", 0, "default", None)], []))
    assert config["parameters"] == {
        "rate": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1.0},
        "scale": {"distribution": "uniform", "min": 0.0, "max": 1.0},
        "layers": {"distribution": "int_uniform", "min": 1, "max": 4},
        "batch": {"distribution": "q_log_uniform_values", "q": 1, "min": 8, "max": 512},
        "kind": {"values": ["a", "b"]},
        "norm": {"values": ["false", "true"]},
        "share": {"values": ["0.5", "1.0"]},
    }


@pytest.mark.parametrize(("name", "method"), [("adaptor", "bayes"), ("nudge-m", "grid")])
def test_all_points_are_tried_where_there_are_only_so_many(name: str, method: str) -> None:
    assert yaml.safe_load(invoke(name, *ONE_CELL).stdout)["method"] == method


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nudge-m", "quick"), "a trial is one cell, not 3; leave one by --datasets, --encoder and --seeds"),
        (("nudge-m,adaptor", *ONE_CELL), "a trial is one cell, not 2"),
        (("none", *ONE_CELL), "none: no search space is open"),
        (("adaptor+nudge-m", *ONE_CELL), "adaptor+nudge-m: no search space is open"),
        (("adaptor[scale=9,learning_rate=0.1]", *ONE_CELL), "no search space is open"),
        (("adaptr", *ONE_CELL), "did you mean 'adaptor'?"),
        (("adaptor", "--datasets", "icon-nam", "--seeds", "0"), "did you mean 'icon-names'?"),
        (("adaptor", "--sed", "0"), "No such option"),
        (("adaptor",), "name a suite"),
    ],
)
def test_what_cannot_be_swept_is_bad_input(arguments: tuple[str, ...], said: str) -> None:
    result = invoke(*arguments, code=2)
    assert said in result.stderr
    assert result.stdout == ""
