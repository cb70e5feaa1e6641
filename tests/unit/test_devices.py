"""What runs on a device stays there: on torch's `meta` device, which has no numbers but refuses to meet the CPU's."""

from __future__ import annotations

import warnings

import pytest
import torch

from bench.device import determined
from methods import Csr, Ranking
from methods._contenders import Screen
from methods._search import _merged, rounding

META = torch.device("meta")


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device=META)


def test_meta_refuses_the_cpu() -> None:
    with pytest.raises(RuntimeError):
        empty(3) + torch.zeros(3)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_pass_over_documents(precision: torch.dtype) -> None:
    best = Ranking(empty(7, 2, dtype=torch.int64), empty(7, 2))
    rows, documents = torch.arange(50, device=META), empty(50, 8, dtype=precision)
    merged = _merged(best, empty(7, 8, dtype=precision), rows, documents, width=6, size=3)
    assert merged.rows.device == merged.scores.device == META
    assert merged.rows.shape == merged.scores.shape == (7, 6)


def test_the_screen(monkeypatch) -> None:
    monkeypatch.setattr(Screen, "_longest", 1.0)
    screen = Screen(empty(50, 8), empty(50, 8), empty(3, 5, 50), empty(5))
    alive = screen._alive(empty(7, 8), empty(7, 4), Csr.from_rows([[1], [], [2, 3], [], [], [], []]), 4)
    assert alive.device == META
    assert alive.shape == (7, 50)
    assert rounding(empty(7, 8), 1.0, torch.bfloat16).device == META


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
