"""Work in blocks for which the device has the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

Part = TypeVar("Part")


def halving(work: Callable[[slice], Part], count: int, size: int) -> Iterator[Part]:
    """Does the work on `count` rows, `size` at a time, and on half as many when the device has no memory for it.

    Raises:
        torch.OutOfMemoryError: when it has none for a single row.
    """
    at = 0
    while at < count:
        some = slice(at, min(at + size, count))
        try:
            done = work(some)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
        else:
            yield done
            at = some.stop
