"""What runs on a GPU stays there, goes on in halves where memory is short, and says what CUDA cannot promise."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from nudge_alone import make_problem
from simulated import GPU, simulated_gpu

from bench.cli import main
from bench.device import determined
from bench.record import Results
from methods import fit, parse

CRAMPED = [
    "none",
    "nudge-m",
    "nudge-n",
    "nudge-n[compat=reference]",
    "nudge-loo",
    "query-knn",
    "adaptor[steps=20,batch=64,check_every=10]",
    "adaptor[kind=ridge,side=both]",
]


def test_the_simulated_gpu_refuses_what_cuda_refuses() -> None:
    with simulated_gpu(size=100) as memory:
        three = torch.ones(3, device=GPU)
        assert three.device == (three + 1).device == GPU
        assert (2 * three).sum().item() == 6.0
        for wrong in (
            lambda: three + torch.ones(3),
            lambda: torch.ones(3)[three.long()],
            lambda: three @ torch.ones(3, 2),
        ):
            with pytest.raises(RuntimeError, match="same device"):
                wrong()
        for wrong in (three.numpy, lambda: np.asarray(three)):
            with pytest.raises((RuntimeError, TypeError)):
                wrong()
        with pytest.raises(torch.OutOfMemoryError):
            torch.ones(30, device=GPU)
        assert three.cpu().tolist() == three.tolist() == [1.0, 1.0, 1.0]
        assert memory.refused == 1
        assert three.nbytes < memory.peak <= 100


@pytest.mark.parametrize("precision", ["highest", "medium"])
@pytest.mark.parametrize("label", CRAMPED)
def test_less_than_half_of_the_memory_is_enough(label: str, precision: str) -> None:
    problem = make_problem(10_000, d=64, train=1_500, dev=500)
    there = replace(problem, device=GPU)
    expected = fit(parse(label), problem)
    torch.set_float32_matmul_precision(precision)
    try:
        with simulated_gpu() as ample:
            fit(parse(label), there).search(problem.dev, 10)
        with simulated_gpu(0.4 * ample.peak) as short:
            found = fit(parse(label), there)
            ranking = found.search(problem.dev, 10)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert short.refused > 0
    assert found.chosen == pytest.approx(expected.chosen)
    assert torch.equal(ranking.rows, expected.search(problem.dev, 10).rows)


def test_what_cuda_cannot_promise_is_noted_and_nothing_else_swallowed() -> None:
    notes: list[str] = []

    def compute() -> None:
        with determined(torch.device("cuda"), notes.append):
            for name in ("scatter_cuda", "index_add_cuda_", "scatter_cuda"):
                warnings.warn(f"{name} does not have a deterministic implementation, but you set", stacklevel=1)
            warnings.warn("of something else", stacklevel=1)

    with pytest.warns(UserWarning, match="of something else") as warned:
        compute()
    assert notes == [
        "not the same to the bit when it runs again: CUDA adds in any order in index_add_cuda_, scatter_cuda"
    ]
    assert len(warned) == 1
    with determined(torch.device("cuda"), notes.append):
        pass
    assert len(notes) == 1


def test_on_the_cpu_all_is_determined() -> None:
    notes: list[str] = []

    def compute() -> None:
        with determined(torch.device("cpu"), notes.append):
            warnings.warn("scatter does not have a deterministic implementation", stacklevel=1)

    with pytest.warns(UserWarning, match="does not have"):
        compute()
    assert notes == []


@pytest.mark.usefixtures("cache", "float32")
def test_a_run_on_a_gpu_measures_what_one_on_the_cpu_does(toy_folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    records = {}
    for device in ("cpu", "cuda"):
        out = tmp_path / device
        arguments = ["run", "--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--seeds", "0"]
        methods = ["--methods", "none,nudge-n,adaptor[steps=20,batch=16]"]
        with simulated_gpu():
            done = CliRunner().invoke(main, [*arguments, *methods, "--device", device, "--out", str(out)])
        assert done.exit_code == 0, done.output
        records[device] = {record.method: record for record in Results(out).records()}
    assert len(records["cuda"]) == 3
    for method, there in records["cuda"].items():
        assert there.metrics == records["cpu"][method].metrics
        assert there.identity["accelerator"] == "simulated GPU"
        assert there.memory["device"] > 0
