"""The device that a run computes on."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from bench.errors import BadInput

UNDETERMINED = re.compile(r"(\S+) does not have a deterministic implementation")  # torch's warning


def open_device(name: str) -> torch.device:
    """Returns the device, if it is there; on a GPU, what can be computed in the same way every time is from now on.

    Raises:
        BadInput: when it is not.
    """
    try:
        device = torch.device(name)
        if device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is free to add in any order
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # it has it
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadInput(
            f"device {name!r}: {str(error).splitlines()[0]}; `tunebench doctor` shows what is there"
        ) from None
    return device


@contextmanager
def determined(device: torch.device, note: Callable[[str], None]) -> Iterator[None]:
    """Notes which operations on a GPU are not the same every time, for CUDA has them in no other form."""
    if device.type != "cuda":
        yield
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", UNDETERMINED.pattern)
        yield
    names = set()
    for warning in caught:
        if found := UNDETERMINED.match(str(warning.message)):
            names.add(found[1])
        else:
            warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
    if names:
        note(f"not the same to the bit when it runs again: CUDA adds in any order in {', '.join(sorted(names))}")
