"""The suite `paper` in miniature: its nine sets in their sources' own forms, its methods, small models for its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.embed import encoders
from bench.embed.sentence import SentenceEncoder
from bench.record import Record, Results
from bench.spec import read_suite
from methods import _trainer
from tests.conftest import write_toy

DOCUMENTS = 200


class OnlyAsked:
    """An encoder whose weights are not at hand."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._encoder = SentenceEncoder(*arguments, **named)
        self.revision, self.settings = self._encoder.revision, self._encoder.settings
        self.encode, self.save = self._encoder.encode, self._encoder.save


SUITE = read_suite("paper")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_beir: Any) -> Path:
    return write_toy(write_beir, tmp_path_factory.mktemp("miniature") / "toy", DOCUMENTS)


@pytest.fixture
def miniature(
    folder: Path, tiny_model: Path, tiny_clip: Path, local_copy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of 200 documents, and small models under the names of the suite's."""
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))
    for name in SUITE.datasets:
        local_copy(name, folder)

    def small(name: str) -> encoders.Entry:
        where = tiny_clip if name.startswith("clip") else tiny_model
        kind = OnlyAsked if name == "te3-large" else SentenceEncoder
        return replace(encoders.CATALOGUE[name], open=lambda device: kind(name, where, "tiny", device=device))

    recipe = _trainer.Recipe
    monkeypatch.setattr(_trainer, "Recipe", lambda steps, *rest: recipe(min(steps, 4), *rest))
    names = ("bge-small", "gte-large", "te3-large", "clip-b32", "clip-l14")
    monkeypatch.setattr(encoders, "CATALOGUE", {**encoders.CATALOGUE, **{name: small(name) for name in names}})


def run(out: Path) -> Result:
    return CliRunner().invoke(main, ["run", "paper", "--trust-remote-code", "--out", str(out)])


def test_the_suite_runs_as_it_is(miniature: None, tmp_path: Path) -> None:
    result = run(tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    records = list(Results(tmp_path / "out").records())
    cells = {(record.dataset, record.encoder, record.method, record.seed) for record in records}
    assert cells == {(cell.dataset, cell.encoder, cell.method, cell.seed) for cell in SUITE.cells(str)}
    assert len(cells) == len(records) == 200
    skipped = [record for record in records if record.status == "skipped"]
    assert {(record.encoder, record.method) for record in skipped} == {("te3-large", "full-finetune[metric=hit@1]")}
    assert len(skipped) == 7
    records = [record for record in records if record.status != "skipped"]
    for record in records:
        assert (record.status, record.identity["split"]) == ("ok", "official")
        assert record.counts["documents"] == DOCUMENTS
        assert record.counts["test_queries"] == (120 if record.encoder.startswith("clip") else 40)
    compared(tmp_path / "out")
    found(records)
    assert "nothing to run: all 200 cells have a record" in run(tmp_path / "out").stderr


def compared(out: Path) -> None:
    """Every published figure of the NUDGE paper stands beside a measured one."""
    published = (out / "leaderboard.md").read_text().partition("## Published and measured")[2]
    assert published
    assert "data sets)" not in published, "an average misses a data set"


def found(records: list[Record]) -> None:
    """The text encoder, small as it is, finds more than chance does, which is 10 of 200 documents."""
    texts = [record for record in records if not record.encoder.startswith("clip") and record.method == "none"]
    assert sum(float(record.metrics["recall@10"]) for record in texts) / len(texts) > 0.1
