"""What is committed under results/ and shown in README.md is what the committed records say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.report import leaderboards, load_boards
from bench.words import duration

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


def table(head: str) -> list[list[str]]:
    """The cells, without emphasis, of the table of README.md whose head begins so."""
    _, found, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"\n{head}")
    assert found
    lines = f"{head}{rest}".partition("\n\n")[0].splitlines()
    cells = [line.replace("*", "").strip("|").split("|") for line in lines if "--:" not in line]
    return [[cell.strip() for cell in line] for line in cells]


def figures(folder: str, dataset: str) -> dict[str, Any]:
    """The figures of a committed board, by label."""
    boards = json.loads((ROOT / "results" / folder / "leaderboard.json").read_text(encoding="utf-8"))["boards"]
    (board,) = (board for board in boards if board["setting"]["dataset"] == dataset)
    return {row["method"]: row["figures"] for row in board["rows"]}


def mean(known: Any) -> str:
    return f"{known['means']['ndcg@10']:.3f}".lstrip("0")


def encoded(known: Any) -> list[str]:
    """How many documents, and how far off the softmax over them was, where any were."""
    return [f"{sum(known['parts'].values()):,.0f}", f"{known['tv']:.3f}".lstrip("0")] if known else ["", ""]


def test_readme_compares_the_families_as_their_records_do() -> None:
    head, *lines = table("| | `icon-names` |")
    for column, title in enumerate(head[1:], start=1):
        trained = re.compile(r"(full-finetune|lora|corrector)\[.*?\]")  # whose settings the text tells
        rows = {trained.sub(r"\1", label): row for label, row in figures("embedded", title.split("`")[1]).items()}
        shown = {line[0].strip("`"): line[column] for line in lines}
        assert shown.pop("none") == mean(rows["none"])
        for label, cell in shown.items():
            row = rows.get(label)
            assert cell == (f"{mean(row)} ({duration(row['fit_seconds'])})" if row else "—"), (label, title)


def test_readme_compares_choices_of_negatives_as_their_records_do() -> None:
    head, *lines = table("| negatives from |")
    for column in (1, 4):
        rows = {
            (re.findall(r"selection=([\w-]+)", label) or [label.partition("[")[0]])[0]: row
            for label, row in figures("corrector", head[column].split("`")[1]).items()
            if "log_inclusion" not in label
        }
        for line in lines:
            row = rows.get(line[0].split("`")[1])
            expected = [mean(row), *encoded(row["encodes"])] if row else ["—"] * 3
            assert line[column : column + 3] == expected, (line[0], head[column])


def test_no_record_names_a_path_of_a_machine() -> None:
    texts = [path for folder in COMMITTED for path in (folder / "records").glob("*.json")]
    assert not [path for path in texts if re.search(r'"/(home|root|work|tmp|Users)/', path.read_text())]


def test_the_readme_example_runs() -> None:
    code = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (alone,) = (each for each in code if "bench.interop" not in each)  # the others are run by tests/parity/test_interop
    names: dict[str, Any] = {}
    exec(alone, names)  # noqa: S102
    assert names["rows"][:, 0].tolist() == names["answers"][:3].tolist()
