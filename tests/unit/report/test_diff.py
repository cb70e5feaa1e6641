"""A worse cell in a new results folder is found, noise is not, and what cannot be compared is said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.cli import main
from bench.record import Results
from bench.report.diff import Diff, compare_folders
from bench.report.significance import DRAWS

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cells

    from bench.record import Record


def run(old: Path, new: Path, *options: str, code: int = 0) -> str:
    """Runs the command; returns what it prints, or the line that it refuses with."""
    result = CliRunner().invoke(main, ["diff", str(old), str(new), *options])
    assert result.exit_code == code, (result.exception, result.stdout, result.stderr)
    assert "\x1b" not in result.stdout
    if code == 2:
        assert result.stdout == ""
        assert re.fullmatch(r"tunebench: [^\n]+\n", result.stderr)
    return result.stderr if code == 2 else result.stdout


def last(printed: str) -> str:
    """The verdict."""
    return printed.splitlines()[-1]


def verdicts(diff: Diff) -> dict[str, str]:
    return {row.cells.method: row.verdict for row in diff.rows}


@pytest.fixture
def old(cells: Cells) -> Cells:
    """Two methods and three splits."""
    cells.add_seeds("none", range(3))
    cells.add_seeds("adaptor", range(3), 0.1)
    return cells


@pytest.fixture
def new(cells: Cells, tmp_path: Path) -> Cells:
    """A folder with nothing in it yet."""
    return replace(cells, folder=tmp_path / "new")


def test_a_folder_is_as_good_as_itself(old: Cells) -> None:
    diff = compare_folders(old.folder, old.folder)
    assert verdicts(diff) == {"none": "unchanged", "adaptor": "unchanged"}
    assert {row.fit_ratio for row in diff.rows} == {1.0}
    assert {tuple(row.changes) for row in diff.rows} == {()}
    assert last(run(old.folder, old.folder)) == "0 regressions, 0 improvements, 0 within noise, 2 unchanged"


def test_worse_better_and_noise_are_told_apart(old: Cells, new: Cells) -> None:
    old.add_seeds("bm25", range(3), 0.05)
    new.add_seeds("none", range(3), 5e-6)
    new.add_seeds("adaptor", range(3), 0.08)
    new.add_seeds("bm25", range(3), 0.07)
    diff = compare_folders(old.folder, new.folder)
    assert verdicts(diff) == {"none": "noise", "adaptor": "regression", "bm25": "improvement"}
    printed = run(old.folder, new.folder, code=1)
    assert last(printed) == "1 regression, 1 improvement, 1 within noise, 0 unchanged"
    assert re.search(r"^ adaptor +seeds 0–2 .* −0\.0\d\d .* ▼ regression", printed, re.MULTILINE)
    back = compare_folders(new.folder, old.folder)
    assert verdicts(back) == {"none": "noise", "adaptor": "improvement", "bm25": "regression"}
    for there, again in zip(diff.rows, back.rows, strict=True):
        assert there.difference.value == -again.difference.value
        assert there.difference.holm == pytest.approx(again.difference.holm)


@given(st.sampled_from([-0.05, -0.02, 0.0, 0.02, 0.05]), st.integers(1, 3))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_shift_beyond_noise_is_always_found(
    tmp_path_factory: pytest.TempPathFactory, cells: Cells, shift: float, seeds: int
) -> None:
    was, now = (replace(cells, folder=tmp_path_factory.mktemp("shift") / name) for name in ("old", "new"))
    was.add_seeds("adaptor", range(seeds), 0.1)
    now.add_seeds("adaptor", range(seeds), 0.1 + shift)
    expected = "regression" if shift < 0 else "improvement" if shift > 0 else "unchanged"
    diff = compare_folders(was.folder, now.folder)
    assert verdicts(diff) == {"adaptor": expected}
    assert diff.regressed == (shift < 0)


def test_a_single_row_has_scipys_p_value(old: Cells, new: Cells) -> None:
    kept = ["d3", "d5", "d8", "d13", "d21", "d34", "d40", "d55", "d60", "d77"]
    for folder, level in ((old, 0.1), (new, 0.105)):
        record = folder.add("adaptor", 0, level)
        path = Results(folder.folder).per_query(record)
        frame = pd.read_parquet(path)
        frame[frame["cluster"].isin(kept)].to_parquet(path)
    for seed in (1, 2):
        new.add("nudge-m", seed)
    was, now = (
        pd.read_parquet(Results(f.folder).per_query(f.record("adaptor", 0, {}, status="ok"))) for f in (old, new)
    )
    sums = (now["ndcg@10"] - was["ndcg@10"]).groupby(now["cluster"]).sum().to_numpy()
    exact = stats.permutation_test((sums,), sum, permutation_type="samples", n_resamples=2**12, vectorized=False)
    (row,) = compare_folders(old.folder, new.folder).rows[:1]
    assert row.cells.seeds == (0,)
    assert row.difference.p["permutation"] == pytest.approx(exact.pvalue, abs=0.02 + 1 / DRAWS)
    assert row.difference.holm == row.difference.p


def test_holm_counts_all_rows_that_are_compared(old: Cells, new: Cells) -> None:
    for number in range(4):
        for folder in (old, new):
            folder.add_seeds(f"same-{number}", range(3), 0.03)
    new.add_seeds("none", range(3))
    new.add_seeds("adaptor", range(3), 0.08)
    row = next(row for row in compare_folders(old.folder, new.folder).rows if row.cells.method == "adaptor")
    assert row.difference.holm["permutation"] == pytest.approx(6 * row.difference.p["permutation"])


def test_many_rows_do_not_make_a_regression_impossible_to_find(
    old: Cells, new: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.report.significance.DRAWS", 10)  # as few for these rows as 10,000 for thousands
    for number in range(4):
        for folder in (old, new):
            folder.add_seeds(f"same-{number}", range(3), 0.03)
    new.add_seeds("adaptor", range(3), -0.1)
    assert verdicts(compare_folders(old.folder, new.folder))["adaptor"] == "regression"


def test_what_was_ok_and_fails_is_a_regression_with_the_reason(old: Cells, new: Cells) -> None:
    new.add_seeds("none", range(3))
    new.add("adaptor", 0, 0.1)
    unopened = {"split": "default", "fingerprint": "", "encoder_revision": "", "encoder_settings": ""}
    new.lose("adaptor", 1, "out of memory")
    new.lose("adaptor", 2, "no such encoder", **unopened)
    diff = compare_folders(old.folder, new.folder)
    assert verdicts(diff) == {"none": "unchanged", "adaptor": "unchanged"}
    assert [(each.seeds, each.reason) for each in diff.lost] == [
        ((1,), "failed: out of memory"),
        ((2,), "failed: no such encoder"),
    ]
    printed = run(old.folder, new.folder, code=1)
    assert "regression: icon-names · minilm · random split · seed 2: adaptor: failed: no such encoder\n" in printed
    assert last(printed) == "2 regressions, 0 improvements, 0 within noise, 2 unchanged"
    back = compare_folders(new.folder, old.folder)
    assert not back.regressed
    assert [each.reason for each in back.mended] == [each.reason for each in diff.lost]
    assert last(run(new.folder, old.folder)) == "0 regressions, 2 improvements, 0 within noise, 2 unchanged"


def test_what_is_ok_in_neither_is_no_regression(old: Cells, new: Cells) -> None:
    for folder in (old, new):
        folder.add("none", 0)
        folder.lose("bm25", 0, "not for pictures", status="skipped")
    assert "without scores in both: icon-names · minilm · random split · seed 0: bm25: skipped: not for pictures\n" in (
        run(old.folder, new.folder)
    )


def test_what_only_one_folder_has_is_listed(old: Cells, new: Cells) -> None:
    new.add_seeds("none", range(2))
    new.add("nudge-m", 0)
    new.add("none", 0, limit=500)
    printed = run(old.folder, new.folder)
    assert "only in OLD: icon-names · minilm · random split · seed 2: none\n" in printed
    assert "only in OLD: icon-names · minilm · random split · seeds 0–2: adaptor\n" in printed
    assert "only in NEW: icon-names · minilm · random split · seed 0: nudge-m\n" in printed
    assert "only in NEW: icon-names · minilm · random split · limit 500 · seed 0: none\n" in printed


def test_other_data_are_not_compared(old: Cells, new: Cells) -> None:
    new.add_seeds("none", range(3))
    new.add_seeds("adaptor", range(3), -0.2, fingerprint="fedcba9876543210")
    diff = compare_folders(old.folder, new.folder)
    assert verdicts(diff) == {"none": "unchanged"}
    assert not diff.regressed
    assert (
        "not compared: icon-names · minilm · random split · seeds 0–2: adaptor: the data are not the same: fingerprint "
        "0123456789ab is now fedcba987654\n"
    ) in run(old.folder, new.folder)


@pytest.mark.parametrize(
    ("identity", "said", "timed"),
    [
        ({"method_version": 2}, "method_version 1 → 2", True),
        ({"hyperparameters": {"steps": 9}}, "steps — → 9", True),
        ({"encoder_revision": "r2"}, "encoder_revision r1 → r2", True),
        ({"schema": 2}, "schema 1 → 2", True),
        ({"threads": 8}, "threads 2 → 8", False),
        ({"accelerator": "NVIDIA H100"}, "accelerator cpu → NVIDIA H100", False),
    ],
)
def test_other_versions_and_devices_are_compared_and_said(
    old: Cells, new: Cells, identity: dict[str, Any], said: str, timed: bool
) -> None:
    new.add_seeds("none", range(3))
    new.add_seeds("adaptor", range(3), 0.05, **identity)
    diff = compare_folders(old.folder, new.folder)
    assert verdicts(diff) == {"none": "unchanged", "adaptor": "regression"}
    assert [row.fit_ratio is not None for row in diff.rows] == [timed, True]
    assert f"changed: {said} (1 of 2 rows)\n" in run(old.folder, new.folder, code=1)


def test_versions_of_packages_are_said(old: Cells, new: Cells) -> None:
    for folder, version in ((old, "2.13.0"), (new, "2.14.0")):
        record = folder.add("none", 0)
        told = record.model_copy(update={"environment": {"torch": version}})
        Results(folder.folder).write(told, folder.queries(0, 0.0, 0.02))
    assert "changed: torch 2.13.0 → 2.14.0 (1 of 1 row)\n" in run(old.folder, new.folder)


def test_of_several_cells_in_one_place_those_most_alike_are_compared(old: Cells, new: Cells) -> None:
    old.add_seeds("adaptor", range(3), 0.3, accelerator="NVIDIA H100")
    for folder in (old, new):
        folder.add_seeds("adaptor", range(3), 0.2, fingerprint="fedcba9876543210")
    new.add_seeds("adaptor", range(3), 0.3, accelerator="NVIDIA H100")
    new.add_seeds("adaptor", range(3), 0.1, method_version=2)
    new.add_seeds("adaptor", range(3), 0.0, split="grouped")
    diff = compare_folders(old.folder, new.folder)
    assert [row.verdict for row in diff.rows] == ["unchanged"] * 3
    assert [each.method for each in diff.only_old] == ["none"]
    assert [each.setting.split for each in diff.only_new] == ["grouped"]


def test_the_same_data_count_for_more_than_the_same_device_and_version(old: Cells, new: Cells) -> None:
    new.add_seeds("adaptor", range(3), 0.05, accelerator="NVIDIA H100", method_version=2)
    new.add_seeds("adaptor", range(3), 0.1, fingerprint="fedcba9876543210")
    diff = compare_folders(old.folder, new.folder)
    assert verdicts(diff) == {"adaptor": "regression"}
    assert [each.setting.fingerprint for each in diff.only_new] == ["fedcba9876543210"]


def test_a_replaced_version_is_not_compared(old: Cells, new: Cells) -> None:
    new.add_seeds("adaptor", range(3), 0.1)
    new.add_seeds("adaptor", range(3), 0.05, method_version=2)
    diff = compare_folders(old.folder, new.folder)
    assert verdicts(diff) == {"adaptor": "regression"}
    assert diff.only_new == ()


def test_the_time_to_fit_is_shown_and_never_fails(old: Cells, new: Cells) -> None:
    for record in Results(old.folder).records():
        slow = record.model_copy(update={"fit_seconds": 100 * (record.fit_seconds or 0)})
        scores = pd.read_parquet(Results(old.folder).per_query(record))
        Results(new.folder).write(slow, scores)
    printed = run(old.folder, new.folder)
    assert printed.count(" 100.00x ") == 2


def test_files_of_another_pandas_and_in_another_order_are_the_same_scores(old: Cells, new: Cells) -> None:
    for record in Results(old.folder).records():
        scores = pd.read_parquet(Results(old.folder).per_query(record)).iloc[::-1]
        Results(new.folder).write(record, scores.astype({"query_id": "category", "cluster": "large_string[pyarrow]"}))
    assert set(verdicts(compare_folders(old.folder, new.folder)).values()) == {"unchanged"}


def delete(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def drop_a_query(path: Path) -> None:
    pd.read_parquet(path).iloc[1:].to_parquet(path)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (delete, "missing or damaged"),
        (truncate, "missing or damaged"),
        (drop_a_query, "other queries than"),
    ],
)
def test_scores_that_cannot_be_compared_are_said(
    old: Cells, new: Cells, harm: Callable[[Path], None], reason: str
) -> None:
    new.add_seeds("none", range(3))
    records = new.add_seeds("adaptor", range(3), 0.1)
    path = Results(new.folder).per_query(records[1])
    harm(path)
    (untested,) = compare_folders(old.folder, new.folder).untested
    assert untested.method == "adaptor"
    assert reason in untested.reason
    assert path.name in untested.reason
    assert "not compared: icon-names" in run(old.folder, new.folder)
    assert last(run(old.folder, new.folder)) == "0 regressions, 0 improvements, 0 within noise, 1 unchanged"


def test_json_says_the_same(old: Cells, new: Cells) -> None:
    new.add_seeds("none", range(3))
    new.add("adaptor", 0, 0.05)
    new.lose("adaptor", 1, "out of memory")
    said = json.loads(run(old.folder, new.folder, "--json", code=1))
    assert said["regressed"] is True
    (row, _) = said["rows"]
    records: dict[str, Record] = {"old": old.add("adaptor", 0, 0.1), "new": new.add("adaptor", 0, 0.05)}
    assert (row["dataset"], row["method"], row["seeds"], row["verdict"]) == ("icon-names", "adaptor", [0], "regression")
    for name, record in records.items():
        assert row[name] == pytest.approx(record.metrics["ndcg@10"])
    assert row["difference"] == pytest.approx(row["new"] - row["old"])
    assert row["p"] <= row["p_holm"] < 0.05
    assert [each["reason"] for each in said["lost"]] == ["failed: out of memory"]
    assert [each["seeds"] for each in said["only_old"]] == [[2]]
    assert json.loads(run(old.folder, old.folder, "--json"))["regressed"] is False


def test_names_and_reasons_are_shown_as_text(old: Cells, new: Cells) -> None:
    for folder in (old, new):
        folder.add("[red]m\x1b[31m", 0, dataset="[bold]\x1b]0;d")
    old.add("adaptor", 9, 0.1)
    new.lose("adaptor", 9, "[green]\x1b[2J no")
    printed = run(old.folder, new.folder, code=1)
    assert " [red]m [31m " in printed
    assert "adaptor: failed: [green] [2J no\n" in printed


def test_folders_with_nothing_in_common(old: Cells, new: Cells) -> None:
    new.add("none", 0, dataset="apidocs")
    assert "share no cell that can be compared" in run(old.folder, new.folder, code=2)
    replaced = replace(new, folder=new.folder.with_name("other"))
    replaced.add("none", 0, fingerprint="fedcba")
    line = run(old.folder, replaced.folder, code=2)
    assert "share no cell that can be compared: the data are not the same" in line


def test_a_folder_without_records_and_one_with_half_a_record(old: Cells, new: Cells) -> None:
    for pair in ((old.folder, new.folder), (new.folder, old.folder)):
        assert "holds no records" in run(*pair, code=2)
    new.add("none", 0)
    truncate(next((new.folder / "records").iterdir()))
    for pair in ((old.folder, new.folder), (new.folder, old.folder)):
        assert "delete the file, and the cell runs again" in run(*pair, code=2)
    assert not list(new.folder.glob("leaderboard.*")), "nothing is written"
