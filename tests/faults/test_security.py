"""Files that would run code if they were trusted: they are not."""

from __future__ import annotations

import ast
import hashlib
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from bench.cli import main
from bench.embed.encoders import open_encoder
from bench.embed.store import Store
from bench.errors import BadInput

ROOT = Path(__file__).parents[2]


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    trap = Trap(tmp_path / "mark")
    pickle.loads(pickle.dumps(trap))  # noqa: S301
    assert trap.mark.exists(), "it works"
    trap.mark.unlink()
    return trap


def test_a_models_pickle_runs_nothing(trap: Trap, tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    for weights in model.rglob("*.safetensors"):
        weights.unlink()
        torch.save({"weights": trap}, weights.with_name("pytorch_model.bin"))
    with pytest.raises(BadInput, match="not a sentence-transformers model"):
        open_encoder(f"st:{model}").encode(["a text"], "query")
    assert not trap.mark.exists()


def test_a_models_code_does_not_run_unasked(tiny_model: Path, toy_folder: Path, tmp_path: Path) -> None:
    model, mark = tmp_path / "model", tmp_path / "mark"
    shutil.copytree(tiny_model, model)
    (model / "custom.py").write_text(f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n")
    modules = json.loads((model / "modules.json").read_text())
    modules[0]["type"] = "custom.Custom"
    (model / "modules.json").write_text(json.dumps(modules))
    arguments = ["run", "--data", str(toy_folder), "--encoder", f"st:{model}", "--methods", "none", "--seeds", "0"]
    refused = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "out")])
    assert refused.exit_code == 1
    assert "runs Python code that comes with the model; if you trust it, pass --trust-remote-code" in refused.stderr
    assert not mark.exists()
    CliRunner().invoke(main, [*arguments, "--trust-remote-code", "--out", str(tmp_path / "out")])
    assert mark.exists(), "it would have run"


class _Encoder:
    revision, settings = "1", {"encoder": "trap"}

    def encode(self, items: list[str], role: str) -> torch.Tensor:
        return torch.ones(len(items), 2)


@pytest.mark.filterwarnings("ignore::bench.errors.Mended")
def test_a_shards_pickle_runs_nothing(trap: Trap, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def embed() -> np.ndarray:
        embedded = store.embed(_Encoder(), ["a", "b"], "query", normalise=False, progress=lambda _: None)  # type: ignore[arg-type]
        return embedded.in_memory().numpy()

    embed()
    (shard,) = (tmp_path / "store").glob("*/*.npy")
    np.save(shard, np.array([trap, trap], dtype=object), allow_pickle=True)
    voucher = {"sha256": hashlib.sha256(shard.read_bytes()).hexdigest(), "seconds": 1.0}
    shard.with_suffix(".json").write_text(json.dumps(voucher))
    assert embed().tolist() == [[1, 1], [1, 1]]
    assert not trap.mark.exists()


def test_no_source_takes_what_could_run_code() -> None:
    """No pickle, no eval, no shell, no YAML beyond plain data; arrays and weights in forms that hold data alone."""
    for path in (*(ROOT / "bench").rglob("*.py"), *(ROOT / "methods").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"} & set(names), path
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                named = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert called not in {"eval", "exec", "torch.load", "os.system", "yaml.load"}, (path, called)
                assert named.get("shell") != "True", path
                if called.endswith("np.load"):
                    assert named.get("allow_pickle") == "False", path
