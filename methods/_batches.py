"""Batches of numbers, shuffled anew each epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def shuffled_batches(count: int, size: int, seed: int) -> Iterator[Tensor]:
    """Endless batches of the numbers below `count`, every number once an epoch; all of them when there are fewer.

    The last, shorter batch of an epoch is dropped.
    """
    random = torch.Generator().manual_seed(seed)
    size = min(size, count)
    while True:
        order = torch.randperm(count, generator=random)
        yield from order[: count // size * size].split(size)
