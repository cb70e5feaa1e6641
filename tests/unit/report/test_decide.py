"""What to ship: decided over invented cells whose truth is known, and worded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.decision import Decision, Point, read_decisions
from bench.errors import BadInput
from bench.names import MAIN
from bench.recommend.decide import decide
from bench.recommend.shares import shared, trends
from bench.report import leaderboards, load_boards, sheet, write_leaderboards
from bench.report.decision_sheet import decision_lines
from methods import label, parse

Cells = Any  # of conftest.py
SEEDS = range(5)


def decided(cells: Cells, **left_out: str) -> Decision:
    (decision,) = decide(cells.folder, left_out)
    return decision


def test_the_best_of_those_that_are_better_is_chosen(cells: Cells) -> None:
    for method, level in (("none", 0.0), ("adaptor", 0.1), ("nudge-n", 0.2)):
        cells.add_seeds(method, SEEDS, level)
    decision = decided(cells)
    assert decision.verdict == "better"
    assert decision.chosen == decision.best.method == "nudge-n"
    assert decision.best.gain.value == pytest.approx(0.2, abs=0.01)
    assert decision.best.gain.half_width < 0.02
    assert decision.best.replaces == ["documents"]
    assert decision.best.updates
    assert decision.tied == []
    assert decision.counts == {"documents": 1903, "train_queries": 1050, "dev_queries": 150, "test_queries": 100}
    board = load_boards(cells.folder)[0]
    assert board.rows[0].mark == "winner", "it names what the board names"
    assert board.rows[0].method == decision.chosen


def test_those_that_are_tied_with_it_are_named_with_their_cost(cells: Cells) -> None:
    for method, level in (("none", 0.0), ("adaptor", 0.2), ("nudge-n", 0.2001), ("nudge-m", 0.1)):
        cells.add_seeds(method, SEEDS, level)
    decision = decided(cells)
    assert {decision.chosen, *(each.method for each in decision.tied)} == {"adaptor", "nudge-n"}
    text = "\n".join(decision_lines(decision))
    tied = decision.tied[0]
    assert f"Not significantly below it, the quickest to fit first: {tied.method} ({tied.ndcg:.3f}, 3.5 s)." in text


@pytest.mark.parametrize("control", ["nudge-shuffled", "nudge-prior", "query-knn", "adaptor+query-knn"])
def test_a_control_is_never_shipped(cells: Cells, control: str) -> None:
    for method, level in (("none", 0.0), ("nudge-m", 0.1), (control, 0.3)):
        cells.add_seeds(method, SEEDS, level)
    assert decided(cells).chosen == "nudge-m"


def test_none_is_said_when_nothing_gains_anything(cells: Cells) -> None:
    for method, level in (("none", 0.0), ("adaptor", -0.05), ("nudge-n", 0.0005)):
        cells.add_seeds(method, SEEDS, level)
    decision = decided(cells)
    assert (decision.verdict, decision.chosen) == ("none", None)
    assert decision_lines(decision)[0].startswith("Ship none: nothing gains what would be worth its while.")


def test_it_is_said_when_the_data_cannot_tell(cells: Cells) -> None:
    cells.add("none", 0, 0.0, noise=0.3)
    cells.add("nudge-n", 0, 0.01, noise=0.3)
    decision = decided(cells)
    assert (decision.verdict, decision.chosen, decision.best.method) == ("cannot tell", None, "nudge-n")
    gain = decision.best.gain
    times = int(np.ceil((gain.half_width / gain.value) ** 2)) if gain.value > 0 else None
    text = decision_lines(decision)[0]
    assert "the data cannot tell" in text
    assert (f"about {max(2, times)} times as many judged queries" if times else "judge more queries") in text


def test_gains_are_told_apart_by_wording_without_a_look_at_judgements(cells: Cells) -> None:
    for method, level in (("none", 0.0), ("nudge-n", 0.2)):
        cells.add_seeds(method, SEEDS, level)
    decision = decided(cells)
    wording = np.concatenate([cells.queries(seed, 0.0, 0.02)["wording"] for seed in SEEDS])
    assert decision.like.queries == (wording >= 0.8).sum()
    assert decision.new.queries == (wording < 0.8).sum()
    assert decision.like.value == pytest.approx(0.2, abs=0.02)
    text = "\n".join(decision_lines(decision))
    assert "on queries worded like a train query" in text


def test_cells_from_before_wording_was_measured_are_decided_too(cells: Cells) -> None:
    import pandas as pd

    for method, level in (("none", 0.0), ("nudge-n", 0.2)):
        cells.add_seeds(method, SEEDS, level)
    for path in (cells.folder / "per_query").glob("*.parquet"):
        pd.read_parquet(path).drop(columns="wording").to_parquet(path)
    decision = decided(cells)
    assert decision.like is decision.new is None
    assert decision.chosen == "nudge-n"
    assert not any("By wording" in line for line in decision_lines(decision))


def _shares(cells: Cells, method: str, levels: dict[float, float]) -> None:
    for share, level in levels.items():
        written = label(shared(parse(method), share))
        cells.add_seeds(written, range(3), level, hyperparameters={"train_share": share})


def test_shares_draw_the_curves_and_take_no_part_in_the_decision(cells: Cells) -> None:
    for method, level in (("none", 0.0), ("adaptor", 0.15), ("nudge-n", 0.2)):
        cells.add_seeds(method, SEEDS, level)
    before = decided(cells)
    _shares(cells, "adaptor", {0.1: 0.0, 0.25: 0.01, 0.5: 0.08})
    _shares(cells, "nudge-n", {0.1: 0.1, 0.25: 0.16, 0.5: 0.18})
    after = decided(cells)
    assert after.best == before.best
    assert [point.share for point in after.curves["nudge-n"]] == [0.1, 0.25, 0.5, 1.0]
    assert [point.train_queries for point in after.curves["nudge-n"]] == [105, 262, 525, 1050]
    seeds = [cells.queries(seed, 0.2, 0.02)[MAIN].mean() for seed in range(3)]
    assert after.curves["nudge-n"][-1].ndcg == pytest.approx(np.mean(seeds)), "over the seeds that all shares have"
    (trend,) = after.trends
    assert trend.rival == "adaptor"
    assert 1050 < trend.queries < 3000, "0.05 behind, and 0.05 a doubling faster"
    text = "\n".join(decision_lines(after))
    assert f"others overtake it: adaptor with about {trend.queries:,} train queries" in text
    assert [line.cells[0] for line in sheet(load_boards(cells.folder)[0]).curves.lines] == ["nudge-n", "adaptor"], (
        "the best first"
    )
    written = leaderboards(load_boards(cells.folder))
    assert all("by the share of the train queries" in written[f"leaderboard.{kind}"] for kind in ("md", "tex", "html"))


def points(*values: float) -> list[Point]:
    return [
        Point(share=share, train_queries=round(1000 * share), ndcg=value)
        for share, value in zip((0.25, 0.5, 1.0), values, strict=True)
    ]


@pytest.mark.parametrize(
    ("rival", "queries"),
    [
        ((0.1, 0.15, 0.2), 4000),  # .1 behind, and .05 a doubling faster: after two doublings
        ((0.25, 0.26, 0.27), 8000),  # three: as far as a line is trusted
        ((0.29, 0.28, 0.27), None),  # never
        ((0.0, 0.05, 0.1), None),  # after four: too far away to be trusted
    ],
)
def test_where_a_rival_overtakes(rival: Sequence[float], queries: int | None) -> None:
    (trend,) = trends("first", {"first": points(0.3, 0.3, 0.3), "rival": points(*rival)})
    assert trend.queries == (None if queries is None else pytest.approx(queries, rel=0.01))


def test_shares_of_a_chain_are_those_of_its_links() -> None:
    assert label(shared(parse("adaptor+nudge-n"), 0.5)) == "adaptor[train_share=0.5]+nudge-n[train_share=0.5]"
    assert label(shared(parse("adaptor[train_share=0.5]"), 1.0)) == "adaptor"


def test_the_decision_stands_on_the_page_until_the_cells_change(cells: Cells) -> None:
    for method, level in (("none", 0.0), ("nudge-n", 0.2)):
        cells.add_seeds(method, SEEDS, level)
    decided(cells, lora="no time")
    page = write_leaderboards(cells.folder, load_boards(cells.folder))
    for path in (page, cells.folder / "leaderboard.md"):
        text = path.read_text()
        assert "Ship nudge-n: NDCG@10 0." in text
        assert "Not tried: lora (no time)." in text
    told = json.loads((cells.folder / "leaderboard.json").read_text())["boards"][0]["decision"]
    assert told == read_decisions(cells.folder)[0].model_dump()
    cells.add("nudge-n", 5, 0.2)
    write_leaderboards(cells.folder, load_boards(cells.folder))
    assert "Ship nudge-n" not in page.read_text(), "it was decided from other cells"


def test_nothing_to_decide_is_refused(cells: Cells) -> None:
    cells.add_seeds("nudge-n", SEEDS, 0.1)
    with pytest.raises(BadInput, match="no board has none and another method complete"):
        decide(cells.folder)
    cells.lose("none", 0, "bad luck")
    with pytest.raises(BadInput, match="no board has none"):
        decide(cells.folder)


def test_a_damaged_decision_is_named(cells: Cells) -> None:
    cells.add_seeds("none", SEEDS)
    (cells.folder / "decision.json").write_text('{"decisions": [1]}')
    with pytest.raises(BadInput, match=r"decision.json: .*delete the file"):
        load_boards(cells.folder)


def test_a_method_that_is_not_installed_here_can_still_win(cells: Cells) -> None:
    for method, level in (("none", 0.0), ("elsewhere[x=1]", 0.2)):
        cells.add_seeds(method, SEEDS, level)
    decision = decided(cells)
    assert decision.chosen == "elsewhere[x=1]"
    assert decision.best.replaces == []


def test_what_changes_where_it_is_served_is_said(cells: Cells) -> None:
    words: dict[str, Any] = {
        "nudge-n": "documents are indexed anew",
        "adaptor": "each query vector is mapped before the search",
        "full-finetune": "the model is swapped, and all documents are encoded and indexed anew",
        "rrf": "the search itself is replaced",
        "adaptor+nudge-n": "documents are indexed anew and each query vector is mapped before the search",
    }
    for method, expected in words.items():
        folder = cells.folder.parent / method
        for name, level in (("none", 0.0), (method, 0.2)):
            type(cells)(folder).add_seeds(name, SEEDS, level)
        (decision,) = decide(folder)
        assert f"Where it is served: {expected}." in decision_lines(decision)


def test_recommend_prints_the_decision_of_finished_results(cells: Cells) -> None:
    for method, level in (("none", 0.0), ("nudge-n", 0.2)):
        cells.add_seeds(method, SEEDS, level)
    result = CliRunner().invoke(main, ["recommend", str(cells.folder)])
    assert result.exit_code == 0, result.output
    assert "Ship nudge-n: NDCG@10 0." in result.stdout
    assert result.stdout.rstrip().endswith("leaderboard.html")
    told = json.loads(CliRunner().invoke(main, ["recommend", str(cells.folder), "--json"]).stdout)
    assert told["decisions"][0]["chosen"] == "nudge-n"


FINISHED = Path(__file__).parents[3] / "results" / "embedded"


@pytest.mark.parametrize("dataset", ["icon-names", "apidocs", "icons"])
def test_on_the_embedded_sets_it_names_what_the_full_grid_names(dataset: str) -> None:
    boards = {board.setting.dataset: board for board in load_boards(FINISHED)}
    board = boards[dataset]
    assert board.decision is not None, "run `tunebench recommend results/embedded`"
    assert board.decision.chosen == next(row.method for row in board.rows if "shuffled" not in row.method)
