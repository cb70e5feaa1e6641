"""A results folder with what the methods learnt, from a small model on small data."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from shipped import METHODS, Invoke

from bench.cli import main


@pytest.fixture(scope="session")
def invoke() -> Invoke:
    """Calls the command and checks its exit code."""

    def invoke(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, (result.exception, result.output)
        return result

    return invoke


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path, tiny_model: Path, invoke: Invoke) -> Path:
    """Cells of seed 0 with their artefacts. Not to be changed."""
    out = tmp_path_factory.mktemp("kept") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.embed.sentence.has_bfloat16", lambda device: False)
        invoke(
            *("run", "--data", toy_folder, "--encoder", f"st:{tiny_model}", "--methods", ",".join(METHODS)),
            *("--seeds", 0, "--keep", "--out", out),
        )
    return out


@pytest.fixture(autouse=True)
def in_float32(float32: None, cache: Path) -> None:
    """As the cells were run; with a cache for each module."""
