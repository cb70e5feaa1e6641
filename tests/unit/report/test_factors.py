"""Factors that papers claim of one method over another, beside what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from bench.record import Results
from bench.report import load_boards, published_tables
from bench.report.factors import Claimed, compare_factors
from bench.report.published import published
from bench.report.render import leaderboards


def measure(cells: Any, method: str, ndcg: float, seconds: float, seed: int = 0) -> None:
    record = cells.add(method, seed)
    changed = {"metrics": {**record.metrics, "ndcg@10": ndcg}, "fit_seconds": seconds}
    Results(cells.folder).write(record.model_copy(update=changed), cells.queries(seed, ndcg, 0.02))


def claimed(cells: Any) -> dict[tuple[str, str], Claimed]:
    found = compare_factors(load_boards(cells.folder), published().factors)
    return {(each.row.method, each.over.method): each for each in found}


@pytest.fixture
def measured(cells: Any) -> Any:
    measure(cells, "none", 0.30, 0.0)
    measure(cells, "nudge-n", 0.45, 2.0)
    measure(cells, "full-finetune[steps=200]", 0.35, 500.0)
    measure(cells, "adaptor", 0.36, 5.0)
    return cells


def test_factors_are_of_gains_and_of_times(measured: Any) -> None:
    found = claimed(measured)
    assert set(found) == {("nudge-n", "full-finetune[steps=200]"), ("nudge-n", "adaptor")}
    finetune, adaptor = found["nudge-n", "full-finetune[steps=200]"], found["nudge-n", "adaptor"]
    assert (finetune.gain, finetune.speed) == (pytest.approx(3.0), pytest.approx(250))
    assert (finetune.factor.gain, finetune.factor.speed) == (3.3, 200)
    assert (adaptor.gain, adaptor.speed) == (pytest.approx(2.5), pytest.approx(2.5))
    assert (adaptor.factor.gain, adaptor.factor.speed) == (4.3, 3)


def test_they_stand_in_every_leaderboard(measured: Any) -> None:
    (table,) = published_tables(load_boards(measured.folder))
    assert table.caption.startswith("icon-names · minilm · cpu, 2 threads · arXiv 2409.02343, abstract")
    assert {line.cells for line in table.lines} == {
        ("nudge-n", "full-finetune[steps=200]", "3.3x", "3.0x", "200x", "250x"),
        ("nudge-n", "adaptor", "4.3x", "2.5x", "3x", "2.5x"),
    }
    texts = leaderboards(load_boards(measured.folder))
    for name in ("leaderboard.md", "leaderboard.html"):
        assert "2.5x" in texts[name]


def test_nothing_is_divided_by_what_gains_nothing(measured: Any) -> None:
    measure(measured, "adaptor", 0.29, 5.0)
    assert claimed(measured)["nudge-n", "adaptor"].gain is None
    (table,) = published_tables(load_boards(measured.folder))
    assert ("nudge-n", "adaptor", "4.3x", "it gains nothing", "3x", "2.5x") in {line.cells for line in table.lines}


def test_a_variant_of_which_nothing_is_claimed_is_not_compared(measured: Any) -> None:
    measure(measured, "adaptor[kind=ridge]", 0.33, 1.0)
    measure(measured, "adaptor[batch=64]", 0.36, 3.0)
    assert {over for _, over in claimed(measured)} == {"full-finetune[steps=200]", "adaptor", "adaptor[batch=64]"}


def test_a_chain_and_a_row_with_a_gap_are_not_compared(measured: Any) -> None:
    measure(measured, "adaptor+nudge-n", 0.5, 9.0)
    measure(measured, "nudge-n", 0.45, 2.0, seed=1)
    assert claimed(measured) == {}, "with a second seed the others have a gap, and nudge-n nothing to be compared with"
