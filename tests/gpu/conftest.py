"""These tests need a GPU, and fail without one."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def gpu() -> torch.device:
    if not torch.cuda.is_available():
        pytest.fail("no CUDA device")
    return torch.device("cuda")
