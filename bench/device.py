"""The device that a run computes on."""

from __future__ import annotations

import torch

from bench.errors import BadInput


def open_device(name: str) -> torch.device:
    """Returns the device, if it is there.

    Raises:
        BadInput: when it is not.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadInput(
            f"device {name!r}: {str(error).splitlines()[0]}; `tunebench doctor` shows what is there"
        ) from None
    return device
