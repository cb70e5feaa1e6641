"""A server that takes a call and never says a word."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from processes import Tally, by_method

from bench.cli import main
from bench.data import catalogue, download
from bench.data.archive import Archive
from bench.data.download import Download


@pytest.fixture
def silence() -> Iterator[str]:
    """Its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_it_costs_its_own_cells_after_a_while(
    silence: str,
    toy_folder: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tally: Tally,
) -> None:
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "PATIENCE", 0.5)
    entry = catalogue.CATALOGUE["beir/scifact"]
    assert isinstance(entry.source, Archive)
    source = replace(entry.source, zip=Download(f"{silence}/scifact.zip", "0" * 32))
    entries = {**catalogue.CATALOGUE, "beir/scifact": replace(entry, source=source)}
    monkeypatch.setattr(catalogue, "CATALOGUE", entries)
    asked = ["run", "--datasets", f"beir/scifact,folder:{toy_folder}", "--encoder", f"st:{tiny_model}"]
    asked += ["--methods", "none", "--seeds", "0", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 1, result.stderr
    assert "timed out" in result.stderr
    assert by_method(tmp_path / "out")["none"].seed == 0
    tally("a server that never answers", 1)
