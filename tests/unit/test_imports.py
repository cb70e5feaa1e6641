"""Who imports whom: data flows one way, and the methods stand alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Checks the contracts of the `pyproject.toml` in `root`."""
    code = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_imports_go_one_way() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("methods/none.py", "from bench.errors import BadInput"),
        ("bench/data/folder.py", "from bench.record import Record"),
        ("bench/score.py", "import bench.report"),
        ("bench/record.py", "import bench.run.cell"),
        ("bench/report/board.py", "from bench.run.cell import run_cell"),
        ("bench/track/tracking.py", "from bench.embed.store import Cost"),
    ],
)
def test_an_import_in_the_wrong_direction_would_be_found(tmp_path: Path, module: str, line: str) -> None:
    for package in ("bench", "methods"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a") as file:
        file.write(f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "broken" in done.stdout
    assert " 0 broken" not in done.stdout


ABSENT = (
    *("bench", "pandas", "pydantic", "pyarrow", "pytrec_eval", "sentence_transformers", "transformers", "sklearn"),
    *("mteb", "beir", "faiss", "wandb", "click", "rich", "jinja2", "filelock", "platformdirs", "optuna", "bm25s"),
)
STAND_ALONE = """
import sys
for name in {absent}:
    sys.modules[name] = None
import numpy as np
import torch
import methods
from methods import Corpus, Csr, Judged, Problem, fit, method_names, parse

random = np.random.default_rng(0)
def unit(n):
    vectors = random.normal(size=(n, 4)).astype("float32")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
def judged():
    return Judged((), torch.from_numpy(unit(6)), relevant=Csr.from_rows([[row] for row in range(6)]))
problem = Problem(Corpus.from_vectors(unit(9)), judged(), judged())
for name in method_names():
    method = parse(name)
    if not method.needs:
        if "steps" in vars(method):
            method = parse(f"{{name}}[steps=2]")
        assert fit(method, problem).search(judged(), 3).rows.shape == (6, 3), name
print("fine")
"""


def test_methods_stand_alone() -> None:
    """They run where only torch, numpy, scipy and safetensors are, and never load the harness."""
    done = python(STAND_ALONE.format(absent=ABSENT))
    assert done.stdout == "fine\n", done.stderr


def test_importing_methods_imports_no_method() -> None:
    done = python("import sys, methods; print([name for name in sys.modules if name.startswith('methods.')])")
    assert "methods._registry" in done.stdout
    assert "methods.adaptor" not in done.stdout
    assert "methods.nudge" not in done.stdout


HEAVY = ("torch", "numpy", "pandas", "scipy", "rich", "pydantic", "pyarrow", "sentence_transformers", "methods")


def test_a_report_needs_no_torch(tmp_path: Path) -> None:
    """Importing it would cost more than the rest of the report."""
    shutil.copytree(ROOT / "results" / "quick", tmp_path / "quick")
    done = python(f"""
import sys
from bench.cli import main
main(["report", {str(tmp_path / "quick")!r}], standalone_mode=False)
print("torch" in sys.modules)
""")
    assert done.stdout.splitlines()[-1] == "False", done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from bench.cli import main
main({arguments!r}, standalone_mode=False)
print("loaded:", sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = python(code)
    assert done.stdout.splitlines()[-1] == "loaded: []", done.stdout + done.stderr
