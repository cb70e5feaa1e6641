"""What cannot be opened fails by itself: the other cells of a run are done, and the next run goes on from there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.data.dataset import Dataset, Extraction
from bench.data.folder import write_folder
from bench.run import workbench
from tests.conftest import photograph


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def run(out: Path, datasets: str, encoders: str) -> Result:
    options = ["--datasets", datasets, "--encoder", encoders, "--methods", "none", "--seeds", "0,1", "--out", str(out)]
    return CliRunner().invoke(main, ["run", *options])


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((out / "records").glob("*.json"))]


def test_a_data_set_that_cannot_be_fetched_stops_no_other(
    out: Path, toy_folder: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, local_copy: Any
) -> None:
    asked = (out, f"folder:{toy_folder},beir/scifact", f"st:{tiny_model}")
    with monkeypatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        result = run(*asked)
    assert result.exit_code == 1, result.stderr
    assert {(each["dataset"].partition(":")[0], each["seed"]): each["status"] for each in records(out)} == {
        **{("folder", seed): "ok" for seed in (0, 1)},
        **{("beir/scifact", seed): "failed" for seed in (0, 1)},
    }
    (reason,) = {each["reason"] for each in records(out) if each["status"] == "failed"}
    assert re.match(r"beir/scifact: not in the cache, and HF_HUB_OFFLINE is set; fetch http", reason)
    assert f"beir/scifact · st:{tiny_model} · none · seed 0: failed: {reason}" in result.stderr
    assert reason in (out / "leaderboard.md").read_text().replace("\\", "")

    local_copy("beir/scifact")
    result = run(*asked)
    assert result.exit_code == 0, result.stderr
    assert "2 of 4 cells to run" in result.stderr
    assert [each["status"] for each in records(out)] == ["ok"] * 4, "what had failed is replaced"


def test_what_cannot_be_opened_is_tried_once_a_run(
    out: Path, toy_folder: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    open_dataset, open_encoder = workbench.open_dataset, workbench.open_encoder

    def data(name: str, limit: int | None) -> Dataset:
        opened.append(name)
        return open_dataset(name, limit)

    def encoder(name: str, *arguments: Any, **options: Any) -> Any:
        opened.append(name)
        return open_encoder(name, *arguments, **options)

    monkeypatch.setattr(workbench, "open_dataset", data)
    monkeypatch.setattr(workbench, "open_encoder", encoder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    gone = f"st:{toy_folder}"
    assert run(out, f"folder:{toy_folder},beir/scifact", f"{gone},st:{tiny_model}").exit_code == 1
    assert (opened.count("beir/scifact"), opened.count(gone)) == (1, 1)


def test_a_picture_that_cannot_be_read_fails_its_cells_until_it_is_mended(out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    contents = {f"d{number}": photograph(number) for number in range(12)}
    queries = {f"q{number}": f"colour {number}" for number in range(12)}
    qrels = {f"q{number}": {f"d{number}": 1} for number in range(12)}
    write_folder(folder, Extraction(contents.items(), queries, qrels, {}))
    picture = next((folder / "images").iterdir())
    whole = picture.read_bytes()
    picture.write_bytes(whole[:100])
    result = run(out, f"folder:{folder}", "icon-clip")
    assert result.exit_code == 1, result.stderr
    (reason,) = {each["reason"] for each in records(out)}
    assert re.match(rf"{picture}: not a picture that Pillow can read \(.*\); replace it or drop its row", reason)
    picture.write_bytes(whole)
    result = run(out, f"folder:{folder}", "icon-clip")
    assert result.exit_code == 0, result.stderr
    assert [each["status"] for each in records(out)] == ["ok"] * 2, "what had failed is replaced"


def test_an_encoder_that_cannot_be_opened_stops_no_other(out: Path, toy_folder: Path, tiny_model: Path) -> None:
    (tiny_model.parent / "empty").mkdir(exist_ok=True)
    gone = f"st:{tiny_model.parent / 'empty'}"
    result = run(out, f"folder:{toy_folder}", f"{gone},st:{tiny_model}")
    assert result.exit_code == 1, result.stderr
    found = {each["encoder"]: each["status"] for each in records(out)}
    assert found == {gone: "failed", f"st:{tiny_model}": "ok"}


def test_a_key_that_is_missing_stops_no_other(
    out: Path, toy_folder: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = run(out, f"folder:{toy_folder}", f"te3-large,st:{tiny_model}")
    assert result.exit_code == 1, result.stderr
    assert {(each["encoder"], each["status"]) for each in records(out)} == {
        ("te3-large", "failed"),
        (f"st:{tiny_model}", "ok"),
    }
    assert all("OPENAI_API_KEY" in each["reason"] for each in records(out) if each["status"] == "failed")


def test_where_nothing_can_be_opened_nothing_is_written(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = run(out, "beir/scifact,beir/quora", "minilm")
    assert result.exit_code == 2
    assert re.fullmatch(r"tunebench: beir/scifact: not in the cache, [^\n]*\n", result.stderr)
    assert not out.exists()
