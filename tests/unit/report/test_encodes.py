from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any

import pytest

from bench.record import Record, Results
from bench.report.board import load_boards
from bench.report.encodes import Encodes
from bench.report.latex import latex
from bench.report.sheet import sheet

if TYPE_CHECKING:
    from conftest import Cells


def counting(record: Record, step: int, curves: dict[str, Any], **counts: int) -> Record:
    told = {"encodes_step": step, **{f"encodes_{name}": count for name, count in counts.items()}}
    return record.model_copy(update={"counts": {**record.counts, **told}, "curves": curves})


@pytest.fixture
def two(cells: Cells) -> list[Record]:
    return [cells.add("corrector", seed) for seed in (0, 1)]


def test_encodes_are_averaged_over_the_seeds(two: list[Record]) -> None:
    first = counting(two[0], 100, {"encodes": [50, 90, 150], "dev": [0.1, 0.3, 0.2], "drift": [0, 4], "tv": [0.5]})
    second = counting(two[1], 300, {"encodes": [50, 110], "dev": [0.3, 0.5], "drift": [2], "tv": [0.7]}, cache=40)
    found = Encodes.of([first, second])
    assert found
    assert found.parts == {"cache": 20, "refresh": 0, "step": 200}
    assert found.total == 220
    assert found.checks == ((50, 0.2), (100, 0.4))  # a third check was made in one seed only
    assert (found.drift, found.tv) == (3, 0.6)


def test_what_is_not_known_of_all_seeds_is_not_told(two: list[Record]) -> None:
    counted = [counting(record, 100, {"drift": [0.1]}) for record in two]
    assert Encodes.of([counted[0], two[1]]) is None
    drifts = [counted[0], counting(two[1], 100, {"drift": [0.1, nan]})]
    assert [Encodes.of(each).drift for each in (counted, drifts)] == [0.1, None]
    assert Encodes.of(counted).checks == ()


def test_the_board_says_how_many_times_fewer_encodes_a_row_took(cells: Cells, two: list[Record]) -> None:
    cells.add("none", 0)
    for record in two:
        few = counting(record, 100, {"encodes": [0, 100], "dev": [0.25, 0.35], "drift": [0.5], "tv": [0.125]})
        Results(cells.folder).write(few, cells.queries(record.seed, 0.0, 0.02))
        exact = cells.add("exact", record.seed, 0.1)
        many = counting(exact, 500, {}, cache=100, refresh=400)
        Results(cells.folder).write(many, cells.queries(record.seed, 0.1, 0.02))
    worded = sheet(load_boards(cells.folder)[0])
    table = worded.encodes
    assert table
    assert "10.0x & 0.350" in latex([worded], [])
    exact, few = (line.cells for line in table.lines)
    assert (exact[0], *exact[2:]) == ("exact", "100", "400", "500", "1,000", "1.0x", "—", "—", "—")
    assert (few[0], *few[2:]) == ("corrector", "0", "0", "100", "100", "10.0x", "0.350", "0.500", "0.125")
