"""`tunebench recommend --data`: what runs within a budget, and in which order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.recommend import ladder
from bench.record import Results
from methods import parse

pytestmark = pytest.mark.usefixtures("cache")
Recommend = Callable[..., Result]


@pytest.fixture
def recommend(toy_folder: Path, tiny_model: Path, tmp_path: Path) -> Recommend:
    def recommend(*options: str, code: int = 0) -> Result:
        asked = ["--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--out", str(tmp_path / "out")]
        result = CliRunner().invoke(main, ["recommend", *asked, *options])
        assert result.exit_code == code, (result.exception, result.output)
        return result

    return recommend


def ran(out: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for record in Results(out).records():
        found.setdefault(record.method, []).append(record.seed)
    return {method: sorted(seeds) for method, seeds in found.items()}


def test_methods_run_on_all_splits_and_the_best_get_a_curve(recommend: Recommend, tmp_path: Path) -> None:
    methods = "none,nudge-n,adaptor[steps=20,batch=16],query-knn"
    told = json.loads(recommend("--methods", methods, "--seeds", "0,1,2,3", "--json").stdout)
    (decision,) = told["decisions"]
    found = ran(tmp_path / "out")
    whole = {method: seeds for method, seeds in found.items() if "train_share" not in method}
    assert whole == {method: [0, 1, 2, 3] for method in ("none", "nudge-n", "adaptor[batch=16,steps=20]", "query-knn")}
    parts = {method: seeds for method, seeds in found.items() if "train_share" in method}
    assert len(parts) == 6, "three shares of two methods; a control has none"
    assert all(seeds == [0, 1, 2] for seeds in parts.values())
    assert {len(points) for points in decision["curves"].values()} == {4}
    assert decision["left_out"] == {}
    assert Path(told["page"]).is_file()
    again = recommend("--methods", methods, "--seeds", "0,1,2,3")
    assert "nothing to run: all 16 cells have a record" in again.stderr
    assert "nothing to run: all 18 cells have a record" in again.stderr


def test_the_budget_ends_it_and_what_was_left_out_is_said(
    recommend: Recommend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(ladder, "monotonic", lambda: now[0])
    run_cells = ladder.run_cells

    def timed(planned: list[Any], *arguments: Any, **named: Any) -> Any:
        now[0] += 10
        asked.append((planned[0].cell.method, planned[0].seconds))
        return run_cells(planned, *arguments, **named)

    asked: list[tuple[str, float]] = []
    monkeypatch.setattr(ladder, "run_cells", timed)
    printed = recommend("--methods", "none,nudge-n,nudge-m", "--seeds", "0,1", "--budget", "60s").stdout
    assert ran(tmp_path / "out") == {"none": [0, 1], "nudge-n": [0, 1]} | {
        method: seeds for method, seeds in ran(tmp_path / "out").items() if "train_share" in method
    }
    assert [seconds for _, seconds in asked[:4]] == pytest.approx([40, 30, 10, 10]), "a cell leaves time for the others"
    assert "Not tried: nudge-m (nothing was left of 1 m 00 s)." in printed


def test_a_method_that_fails_is_left_out_at_once(recommend: Recommend, tmp_path: Path) -> None:
    printed = recommend("--methods", "none,nudge-n,adaptor[kind=ridge,ridge=-1]", "--seeds", "0,1").stdout
    assert "Not tried: adaptor[kind=ridge,ridge=-1.0] (adaptor: ridge is -1.0; pass a positive number)." in printed
    assert ran(tmp_path / "out")["adaptor[kind=ridge,ridge=-1.0]"] == [0]


def test_the_suite_has_the_baseline_first_and_no_control() -> None:
    from bench.spec import read_suite

    suite = read_suite("recommend")
    assert suite.methods[0] == "none"
    assert len(suite.seeds) >= 5, "so that both tests apply"
    assert not any(getattr(link, "control", False) for method in suite.methods for link in [parse(method)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a FOLDER of results, or give --data DIR"),
        (["--data", "x", "--budget", "soon"], "write a time, as 90s, 10m or 2h"),
        (["--data", "x", "--budget", "0"], "write a time"),
        (["--datasets", "icons,apidocs"], "recommend is for one data set"),
        (["nowhere"], "holds no records"),
        (["--data", "nowhere"], "missing"),
    ],
)
def test_what_cannot_be_recommended_is_refused(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["recommend", *arguments])
    assert result.exit_code == 2, result.output
    assert message in result.stderr
