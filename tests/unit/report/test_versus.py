"""Two methods of a results folder are compared as its boards compare them, and whatever is wrong is one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.record import Results
from bench.report import load_boards
from bench.report.versus import OVERALL, Versus, compare_methods

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cells


def run(*arguments: str, code: int = 0) -> str:
    """Runs the command; returns what it prints, or the line that it refuses with."""
    result = CliRunner().invoke(main, ["compare", *arguments])
    assert result.exit_code == code, (result.exception, result.stderr)
    assert "\x1b" not in result.stdout
    if code:
        assert result.stdout == ""
        assert re.fullmatch(r"tunebench: [^\n]+\n", result.stderr)
    return result.stderr if code else result.stdout


def only(cells: Cells, first: str = "adaptor", second: str = "none") -> Versus:
    (found,), incomplete = compare_methods(cells.folder, first, second)
    assert incomplete == []
    return found


@pytest.fixture
def two(cells: Cells) -> Cells:
    """Two methods and five splits."""
    cells.add_seeds("none", range(5))
    cells.add_seeds("adaptor", range(5), 0.1)
    return cells


def test_the_figures_are_those_of_the_board(two: Cells) -> None:
    (board,) = load_boards(two.folder)
    rows = {row.method: row for row in board.rows}
    one, other = rows["adaptor"].figures, rows["none"].figures
    assert one
    assert other
    parts = dict(only(two).parts)
    overall = parts.pop(OVERALL)
    assert (overall.first, overall.second) == pytest.approx((one.means["ndcg@10"], other.means["ndcg@10"]))
    assert board.comparison
    assert overall.p == pytest.approx({test: p.raw[0, 1] for test, p in board.comparison.tests.items()})
    assert parts.keys() == one.subsets.keys()
    for name, part in parts.items():
        assert part.queries == one.subsets[name].queries
        assert (part.first, part.second) == pytest.approx((one.subsets[name].ndcg, other.subsets[name].ndcg))
    assert {part.sign for part in parts.values()} == {1}


def test_exchanging_the_methods_turns_every_sign(two: Cells) -> None:
    two.add_seeds("bm25", range(5), 0.05)
    there, back = only(two, "bm25", "adaptor"), only(two, "adaptor", "bm25")
    assert there.parts.keys() == back.parts.keys()
    for name, part in there.parts.items():
        assert part.value == -back.parts[name].value
        assert part.sign == -back.parts[name].sign
        assert part.holm == pytest.approx(back.parts[name].holm)
    turned = [(query.id, query.second, query.first) for query in reversed(back.changed)]
    assert [(query.id, query.first, query.second) for query in there.changed] == turned


def test_methods_that_differ_by_noise_are_not_told_apart(cells: Cells) -> None:
    cells.add_seeds("none", range(5))
    cells.add_seeds("adaptor", range(5), 5e-6)
    assert {part.sign for part in only(cells).parts.values()} == {0}


def test_the_queries_that_change_most_are_those_of_a_plain_sort(two: Cells) -> None:
    results = Results(two.folder)
    frames = [pd.read_parquet(results.per_query(record)).assign(method=record.method) for record in results.records()]
    scores = pd.concat(frames).pivot_table("ndcg@10", "query_id", "method", "mean")
    change = (scores["adaptor"] - scores["none"]).sort_values(ascending=False)
    found = only(two).changed
    higher = [query.first - query.second for query in found if query.first > query.second]
    assert higher == pytest.approx(change.head(5).tolist())
    for query in found:
        assert (query.first, query.second) == pytest.approx(tuple(scores.loc[query.id, ["adaptor", "none"]]))
    assert {query.id for query in found[:5]} == set(change.head(5).index)


def test_only_queries_that_change_are_listed(cells: Cells) -> None:
    cells.add("none", 0)
    cells.add("nudge-m", 0)
    assert only(cells, "none", "nudge-m").changed == ()
    cells.add("adaptor", 0, 0.2, noise=0.0)
    assert {query.first > query.second for query in only(cells).changed} == {True}


def test_an_official_split_is_not_resampled(cells: Cells) -> None:
    for method, level in (("none", 0.0), ("adaptor", 0.1)):
        cells.add_seeds(method, range(5), level, split="official")
    assert {tuple(part.p) for part in only(cells).parts.values()} == {("permutation",)}


def test_every_board_that_has_both_is_compared_and_a_gap_is_said(two: Cells) -> None:
    for method in ("none", "adaptor"):
        two.add("nudge-m" if method == "none" else method, 0, dataset="apidocs")
        two.add_seeds(method, range(2), dataset="icons", encoder="icon-clip")
    two.lose("adaptor", 2, "out of memory", dataset="icons", encoder="icon-clip")
    compared, incomplete = compare_methods(two.folder, "adaptor", "none")
    assert [each.setting.dataset for each in compared] == ["icon-names"]
    assert [setting.dataset for setting in incomplete] == ["icons"]
    printed = run(str(two.folder), "adaptor", "none")
    assert "left out, as not all seeds have run: icons · icon-clip · random split\n" in printed
    assert json.loads(run(str(two.folder), "adaptor", "none", "--json"))["incomplete"][0]["dataset"] == "icons"


def test_json_and_tables_say_the_same(two: Cells) -> None:
    said = json.loads(run(str(two.folder), "adaptor", "none", "--json"))
    assert (said["first"], said["second"]) == ("adaptor", "none")
    (board,) = said["boards"]
    assert board["seeds"] == [0, 1, 2, 3, 4]
    printed = run(str(two.folder), "adaptor", "none")
    for part in board["parts"]:
        name = part["part"].replace("-", "–")
        line = next(line for line in printed.splitlines() if re.match(rf" (nearest )?{re.escape(name)} ", line))
        assert f"▲ {part['difference']:+.3f} " in line
        assert all(f" {part[key]:.3f} " in line for key in ("first", "second", "over_queries", "over_seeds"))
    for query in board["queries"]:
        assert f" {query['id']} " in printed


def test_names_are_shown_as_text(cells: Cells) -> None:
    hostile = "[red]x\x1b[31m\n"
    for method, level in (("none", 0.0), (hostile, 0.1)):
        cells.add(method, 0, level, dataset="[bold]\x1b]0;d")
    assert "[red]x [31m" in run(str(cells.folder), hostile, "none")


@pytest.mark.parametrize(
    ("first", "second", "answer"),
    [
        ("adapter", "none", "unknown method 'adapter'; did you mean 'adaptor'?"),
        ("none", "adaptor[x=1]", "unknown method 'adaptor[x=1]'; did you mean 'adaptor'?"),
        ("xyz", "none", "unknown method 'xyz'; known: adaptor, none"),
        ("none", "none", "none is named twice; name two methods"),
    ],
)
def test_names_that_cannot_be_compared(two: Cells, first: str, second: str, answer: str) -> None:
    assert answer in run(str(two.folder), first, second, code=2)


def test_methods_that_never_meet_complete(cells: Cells) -> None:
    cells.add_seeds("none", range(2))
    cells.add("adaptor", 0)
    cells.add("bm25", 0, dataset="apidocs")
    for other in ("adaptor", "bm25"):
        assert f"no board has both none and {other} complete; `tunebench report" in run(
            str(cells.folder), "none", other, code=2
        )


def delete(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def drop_a_column(path: Path) -> None:
    pd.read_parquet(path).drop(columns="nearest").to_parquet(path)


def drop_a_query(path: Path) -> None:
    pd.read_parquet(path).iloc[1:].to_parquet(path)


@pytest.mark.parametrize(
    ("harm", "answer"),
    [
        (delete, "missing or damaged; run the cell again"),
        (truncate, "missing or damaged; run the cell again"),
        (drop_a_column, "missing or damaged; run the cell again"),
        (drop_a_query, "other queries than"),
    ],
)
def test_scores_that_cannot_be_read(two: Cells, harm: Callable[[Path], Any], answer: str) -> None:
    path = Results(two.folder).per_query(two.record("adaptor", 3, {}, status="ok"))
    harm(path)
    line = run(str(two.folder), "adaptor", "none", code=2)
    assert answer in line
    assert path.name in line


def test_a_folder_without_records_and_one_with_half_a_record(two: Cells, tmp_path: Path) -> None:
    assert "holds no records" in run(str(tmp_path), "adaptor", "none", code=2)
    truncate(next((two.folder / "records").iterdir()))
    assert "delete the file, and the cell runs again" in run(str(two.folder), "adaptor", "none", code=2)
