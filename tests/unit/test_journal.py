"""The course of a run: what is written as it goes, and what can be told from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.errors import BadInput
from bench.run.journal import Asked, Course, Happened, Journal, courses
from bench.run.plan import Planned
from bench.run.scheduler import Begun, Ended, Retried
from bench.spec import Cell


def cell(method: str, seed: int = 0, dataset: str = "icons") -> Cell:
    return Cell(dataset, "minilm", method, seed, "default", None)


def record(status: str = "ok", reason: str | None = None, **seconds: float) -> Any:
    return SimpleNamespace(status=status, reason=reason, seconds=seconds)


def due(*cells: Cell) -> list[Planned]:
    return [Planned(each, {}) for each in cells]


def asked(**kinds: tuple[int, float | None]) -> Asked:
    return Asked(
        suite="quick",
        place="here-1",
        began=0.0,
        seats=1,
        stand=0,
        due=[("icons", "minilm", kind, n) for kind, (n, _) in kinds.items()],
        usual=[("icons", "minilm", kind, seconds) for kind, (_, seconds) in kinds.items() if seconds is not None],
    )


def happened(at: float, what: Any, kind: str, seed: int = 0) -> Happened:
    return Happened(at, what, ("icons", "minilm", kind), seed)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    planned = [*due(cell("a"), cell("a", 1), cell("b")), Planned(cell("b", 1), {}, stands=record(fit=2.0, load=9.0))]
    with Journal(tmp_path, "quick", planned, seats=3) as journal:
        journal.add(Begun(cell("a")))
        journal.add(Ended(cell("a"), record()))
        journal.add(Begun(cell("b")))
        journal.add(Retried(cell("b"), "it died"))
        journal.add(Begun(cell("b")))
        (course,) = courses(tmp_path)
        assert course.alive
        assert course.asked == journal.course.asked
        assert course == journal.course
        assert course.asked.usual == [("icons", "minilm", "b", 2.0)]
        assert (course.due, course.asked.stand, course.done.total()) == (3, 1, 1)
        assert list(course.running) == [(("icons", "minilm", "b"), 0)]
        assert [str(trouble) for trouble in course.troubles] == ["icons · minilm · b · seed 0"]
    (course,) = courses(tmp_path)
    assert not course.alive


def test_half_a_line_is_not_read(tmp_path: Path) -> None:
    with Journal(tmp_path, "quick", due(cell("a")), seats=1) as journal:
        journal.add(Begun(cell("a")))
    (path,) = (tmp_path / ".runs").glob("*.jsonl")
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        list(courses(tmp_path))


@pytest.mark.parametrize("line", ["[]", "3", "{}", "not JSON", '{"suite": "x", "later": 1}', '{"due": 3, "usual": []}'])
def test_what_is_no_journal_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".runs" / "1.jsonl"
    path.parent.mkdir()
    path.write_text(f"{line}\n")
    with pytest.raises(BadInput, match=r"1\.jsonl: no journal, or one of another version; delete it"):
        list(courses(tmp_path))


def test_the_next_run_forgets_those_that_have_ended_and_what_they_left(tmp_path: Path) -> None:
    with Journal(tmp_path, "one", due(cell("a")), seats=1):
        pass
    (tmp_path / "records").mkdir()
    left = tmp_path / "records" / ".abc.json.123.unfinished"
    left.touch()
    (tmp_path / ".git").mkdir()
    with Journal(tmp_path, "two", due(cell("a")), seats=1):
        assert not left.exists()
        assert (tmp_path / ".git").exists(), "what is not ours stays"
        left.touch()
        with Journal(tmp_path, "three", due(cell("a")), seats=1):
            assert [(course.asked.suite, course.alive) for course in courses(tmp_path)] == [
                ("two", True),
                ("three", True),
            ]
            assert left.exists(), "another run may be writing it"
    assert [(course.asked.suite, course.alive) for course in courses(tmp_path)] == [("two", False), ("three", False)]


def test_a_run_that_was_killed_is_not_alive(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from bench.run.journal import Journal
with Journal(Path({str(tmp_path)!r}), "quick", [], seats=1):
    os._exit(9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert list((tmp_path / ".runs").glob("*.lock")), "it could not take it along"
    (course,) = courses(tmp_path)
    assert not course.alive


def test_a_folder_that_no_run_is_known_of(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no run is known of here, but 0 records; `tunebench report"):
        list(courses(tmp_path))


def test_the_time_left_is_that_of_cells_of_the_same_kind() -> None:
    course = Course(asked(a=(3, None), b=(2, 10.0)))
    assert course.left(0) == 2 * 10 + 3 * 10, "of a nothing is known, so it is taken for what is"
    course.add(happened(0, "begun", "a"))
    course.add(happened(100, "ok", "a"))
    assert course.left(100) == 2 * 100 + 2 * 10
    course.add(happened(100, "begun", "b"))
    assert course.left(104) == 2 * 100 + 2 * 10 - 4
    assert course.left(500) == 2 * 100 + 2 * 10 - 10, "one that takes longer is about to end"


def test_seats_share_what_is_left() -> None:
    course = Course(Asked("quick", "here", 0.0, 4, 0, [("icons", "minilm", "a", 8)], [("icons", "minilm", "a", 3.0)]))
    assert course.left(0) == 6


def test_without_any_hint_nothing_is_said_of_the_time_left() -> None:
    assert Course(asked(a=(3, None))).left(0) is None


def test_status_says_how_far_a_run_is(tmp_path: Path) -> None:
    with Journal(tmp_path, "quick", due(*(cell("a", seed) for seed in range(4)), cell("b", 0, "other")), 1) as journal:
        for event in (Begun(cell("a")), Ended(cell("a"), record()), Begun(cell("a", 1))):
            journal.add(event)
        journal.add(Ended(cell("a", 1), record("failed", "no luck")))
        journal.add(Begun(cell("a", 2)))
        shown = CliRunner().invoke(main, ["status", str(tmp_path)]).stdout
        facts = json.loads(CliRunner().invoke(main, ["status", str(tmp_path), "--json"]).stdout)
    lines = shown.splitlines()
    assert lines[0].startswith("quick: 1 of 5 cells done, 1 failed, 1 running, about ")
    assert [line.split() for line in lines[1:4]] == [
        ["data", "set", "encoder", "cells", "done", "failed", "skipped", "running"],
        ["icons", "minilm", "4", "1", "1", "0", "1"],
        ["other", "minilm", "1", "0", "0", "0", "0"],
    ]
    assert any(line.startswith("running ") and line.endswith("icons · minilm · a · seed 2") for line in lines)
    assert "failed: icons · minilm · a · seed 1: no luck" in lines
    assert lines[-1].endswith(": at work")
    (fact,) = facts
    assert (fact["suite"], fact["alive"], fact["cells"], fact["ok"], fact["failed"]) == ("quick", True, 5, 1, 1)
    assert fact["process"].endswith(f"-{os.getpid()}")
    ended = CliRunner().invoke(main, ["status", str(tmp_path)]).stdout.splitlines()
    assert ended[0] == "quick: 1 of 5 cells done, 1 failed"
    assert ended[-1].endswith("stopped, 3 to do; the same command goes on")
