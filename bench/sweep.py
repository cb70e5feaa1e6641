"""A W&B sweep of a method over its search space, whose trials are cells of `tunebench run`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import yaml

from bench.errors import BadInput
from bench.spec import Cell
from bench.track.tracking import PROJECT
from methods import Choice, Range, parse, searched, written


def sweep(cells: Sequence[Cell], options: Sequence[str]) -> str:
    """The configuration that `wandb sweep` takes, as YAML.

    A trial is run by the shell, which writes the values that W&B has drawn into the method's label. It is judged by the
    curve `dev`: W&B takes its highest value, and test queries choose nothing.

    Args:
        cells: what a trial runs, but for the hyperparameters that are searched.
        options: of `tunebench run`, without the method, that lead to them.

    Raises:
        BadInput: for more cells than one, or a method without anything to search.
    """
    if len(cells) != 1:
        raise BadInput(f"a trial is one cell, not {len(cells)}; leave one by --datasets, --encoder and --seeds")
    (cell,) = cells
    space = searched(parse(cell.method))
    if not space:
        raise BadInput(f"{cell.method}: no search space is open; `tunebench list methods` shows whose there are")
    start = cell.method.removesuffix("]") + ("," if "[" in cell.method else "[")
    run = shlex.join(["tunebench", "run", *options, "--wandb", "online", "--methods"])
    config = {
        "name": str(cell),
        "project": PROJECT,
        "program": "tunebench",
        "method": "bayes" if any(isinstance(part, Range) for part in space.values()) else "grid",
        "metric": {"name": "dev", "goal": "maximize"},
        "parameters": {name: _distribution(part) for name, part in space.items()},
        "command": ["sh", "-c", f"IFS=,; exec {run} {shlex.quote(start)}\"$*\"']'", "sweep", "${args_no_hyphens}"],
    }
    # W&B reads YAML 1.1, where the 5e-06 of JSON is a text.
    return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def _distribution(part: Range | Choice) -> dict[str, Any]:
    if isinstance(part, Choice):
        return {"values": [written(value) for value in part.values]}
    whole = isinstance(part.low, int)
    if part.log:
        drawn = {"distribution": "q_log_uniform_values", "q": 1} if whole else {"distribution": "log_uniform_values"}
    else:
        drawn = {"distribution": "int_uniform" if whole else "uniform"}
    return {**drawn, "min": part.low, "max": part.high}
