"""What runs on a device stays there: on torch's `meta` device, which has no numbers but refuses to meet the CPU's."""

from __future__ import annotations

import pytest
import torch

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
