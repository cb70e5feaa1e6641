"""Options that several commands share, and how they are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

FAILED = 1
Command = TypeVar("Command", bound=Callable[..., Any])


def names(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Splits at commas, but not inside the brackets of `adaptor[batch=64,steps=9]`."""
    return None if value is None else tuple(filter(None, re.split(r"\s*,(?![^\[]*\])\s*", value.strip())))


def numbers(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Whole numbers, separated by commas."""
    try:
        return None if value is None else tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r}: write whole numbers separated by commas, as 0,1,2") from None


def resources(_context: click.Context, _parameter: click.Parameter, value: str | None) -> dict[str, float]:
    """Numbers, with units of 1024 for bytes."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
    found: dict[str, float] = {}
    for part in filter(None, (value or "").split(",")):
        match = re.fullmatch(r"\s*(cpus|gpus|memory)\s*=\s*(\d+(?:\.\d+)?)([KMGT]?)\s*", part)
        if match is None or (match[3] and match[1] != "memory"):
            raise click.BadParameter(f"{part!r}: write cpus=2, gpus=1 or memory=16G")
        found[match[1]] = float(match[2]) * units.get(match[3], 1)
    return found


def columns(_context: click.Context, _parameter: click.Parameter, value: str | None) -> dict[str, str]:
    """role=column,… as a mapping."""
    found: dict[str, str] = {}
    for part in filter(None, (value or "").split(",")):
        role, equals, column = (piece.strip() for piece in part.partition("="))
        if not (role and equals and column):
            raise click.BadParameter(f"{part!r}: write role=column, as query=search_term,document=sku")
        found[role] = column
    return found


def seconds(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    """A time with its unit, or seconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", value)
    if match is None or float(match[1]) == 0:
        raise click.BadParameter(f"{value!r}: write a time, as 90s, 10m or 2h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2] or "s"]


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorated(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
trust_option = click.option(
    "--trust-remote-code", is_flag=True, help="Let encoders run the Python code that comes with them."
)
device_option = click.option(
    "--device", default="cpu", show_default=True, metavar="DEVICE", help="cpu, cuda (all GPUs) or cuda:0."
)
suite_options = _together(
    click.option("--data", metavar="DIR", help="A BEIR folder; short for --datasets folder:DIR."),
    click.option("--datasets", callback=names, metavar="A,B", help="Data sets instead of the suite's."),
    click.option(
        "--encoder", "encoders", callback=names, metavar="A,B", help="Encoders instead of the data sets' own."
    ),
    click.option(
        "--methods", callback=names, metavar="A,B", help="Methods instead of the suite's: name[key=value,…], name+name."
    ),
    click.option("--seeds", callback=numbers, metavar="0,1,2", help="Seeds instead of the suite's."),
    click.option(
        "--split", type=click.Choice(["default", "official", "random", "grouped"]), help="How queries are split."
    ),
    click.option("--limit", type=int, metavar="N", help="Keep at the most N judged queries of each data set."),
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=0),
    envvar="TUNEBENCH_WORKERS",
    show_envvar=True,
    metavar="N",
    help="Cells at once; 0 runs them in this process, for a debugger.  [default: one a GPU; 1 on the CPU]",
)
results_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Results folder.  [default: results/local/<suite>]",
)
out_option = click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="OUT", help="A folder that is not there yet."
)
