"""The template of an outside package: installed, it is listed with its origin, run, and held to the contracts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "tests" / "plugin"
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """Runs Python where the template is installed, as pip would from its pyproject.toml."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    (site / "tunebench_example").symlink_to(TEMPLATE / "tunebench_example")
    about = site / f"tunebench_example-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (about / "entry_points.txt").write_text("\n".join(groups))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (site, ROOT))),
        "TUNEBENCH_CACHE": str(tmp_path_factory.mktemp("cache")),
    }

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return call


def tunebench(*arguments: str) -> tuple[str, str]:
    return "-c", f"from bench.cli import main; main({list(arguments)!r})"


@pytest.mark.parametrize(("what", "name"), [("methods", "mean-shift"), ("datasets", "example/numbers")])
def test_it_is_listed_with_its_origin(call: Call, what: str, name: str) -> None:
    rows = {row["name"]: row for row in json.loads(call(*tunebench("list", what, "--json")).stdout)}
    assert "tunebench_example." in rows[name]["from"]
    assert {row["from"] for other, row in rows.items() if other != name} <= {"tunebench", ""}


def test_it_runs_and_says_where_it_comes_from(call: Call, tmp_path: Path) -> None:
    asked = ["--datasets", "example/numbers", "--methods", "none,mean-shift", "--seeds", "0", "--out", str(tmp_path)]
    done = call(*tunebench("run", *asked))
    assert done.returncode == 0, done.stderr
    assert "mean-shift" in done.stdout
    for name in ("mean-shift", "example/numbers"):
        assert any(name in line and "tunebench-example 0.1.0" in line for line in done.stderr.splitlines())


def test_the_documented_command_holds_it_to_the_contracts(call: Call) -> None:
    chosen = "mean-shift or example/numbers"
    done = call("-m", "pytest", "tests/contract", "-k", chosen, "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout[-2000:]
    passed = int(done.stdout.split(" passed")[0].split()[-1])
    assert passed >= 15, done.stdout
    noxfile = (ROOT / "noxfile.py").read_text()
    assert '"tests/contract"' in noxfile
    assert "nox -s plugin" in (TEMPLATE / "README.md").read_text()


def test_a_name_that_is_taken_is_refused(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from bench.data import catalogue

    point = EntryPoint("icons", "elsewhere:ENTRY", catalogue.GROUP)
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [point])
    catalogue.plugged.cache_clear()
    with pytest.raises(ValueError, match="'icons' is registered twice; uninstall 'elsewhere:ENTRY'"):
        catalogue.plugged()
    monkeypatch.undo()
    assert dict(catalogue.plugged()) == {}
