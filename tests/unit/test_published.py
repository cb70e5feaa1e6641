"""What is committed under results/ and shown in README.md is what the committed records say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench.report import leaderboards, load_boards

ROOT = Path(__file__).parents[2]
FIGURES = re.compile(r"^(?:\||SPEED|MEMORY|EXACT|CURVE|STORE|LOAD|REPORT).*\n", re.MULTILINE)
COMMITTED = sorted(path.parent for path in (ROOT / "results").glob("*/records") if path.parent.name != "local")


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_leaderboards_are_those_of_the_records(folder: Path) -> None:
    stale = [
        name
        for name, text in leaderboards(load_boards(folder)).items()
        if (folder / name).read_text(encoding="utf-8") != text
    ]
    assert not stale, f"run `nox -s leaderboard`: {stale}"


def test_the_suites_that_come_along_are_committed() -> None:
    assert {"quick", "embedded", "nudge", "nudge-shares"} <= {folder.name for folder in COMMITTED}


def test_readme_shows_the_committed_boards() -> None:
    shown = re.findall(r"<!-- board: (\S+) -->\n(.*?)<!-- /board -->", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown
    for path, text in shown:
        figures = FIGURES.findall((ROOT / path).read_text(encoding="utf-8"))
        assert figures
        assert figures == FIGURES.findall(text), "run `nox -s leaderboard`"


def test_no_record_names_a_path_of_a_machine() -> None:
    texts = [path for folder in COMMITTED for path in (folder / "records").glob("*.json")]
    assert not [path for path in texts if re.search(r'"/(home|root|work|tmp|Users)/', path.read_text())]


def test_the_readme_example_runs() -> None:
    code = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (alone,) = (each for each in code if "bench.interop" not in each)  # the others are run by tests/parity/test_interop
    names: dict[str, Any] = {}
    exec(alone, names)  # noqa: S102
    assert names["rows"][:, 0].tolist() == names["answers"][:3].tolist()
