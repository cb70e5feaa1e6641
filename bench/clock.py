"""Where the time and the memory of a cell went."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from methods import Meter


class Clock(Meter):
    """Measures wall-clock seconds by phase, counts, curves and peak memory.

    Phases nest: what runs in an inner phase counts for that one alone, so the phases of a cell add up to its time.
    On a GPU a phase begins and ends when the device has done what it was given.

    Attributes:
        seconds: by phase.
        counts: by name.
        curves: the logged values by name, in order.
        notes: what a reader should know.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._outer: list[tuple[str, float]] = []
        self.seconds: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.curves: dict[str, list[float]] = {}
        self.notes: list[str] = []
        with suppress(OSError):  # other systems have no such file
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak of what ran before
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times what runs inside it."""
        self._lap()
        self._outer.append((name, time.perf_counter()))
        try:
            yield
        finally:
            self._lap()
            self._outer.pop()
            if self._outer:
                self._outer[-1] = (self._outer[-1][0], time.perf_counter())

    def count(self, name: str, n: int = 1) -> None:
        """Adds `n` to a count."""
        self.counts[name] = self.counts.get(name, 0) + n

    def log(self, **values: float) -> None:
        """Appends one value to each named curve."""
        for name, value in values.items():
            self.curves.setdefault(name, []).append(float(value))

    def spent(self, seconds: float) -> None:
        """Adds to the phase that is running."""
        if self._outer:
            name, _ = self._outer[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def note(self, text: str) -> None:
        """Keeps a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def memory(self) -> dict[str, int]:
        """Peak bytes since this clock was made: `rss` of the process, `device` of the GPU.

        Where the system cannot forget a peak, `rss` is that since the process began.
        """
        peak = {"rss": _peak()}
        if self._device.type == "cuda":
            peak["device"] = torch.cuda.max_memory_allocated(self._device)
        return peak

    def _lap(self) -> None:
        """Credits the time since the last lap to the phase that is running."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        if self._outer:
            name, began = self._outer[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def _peak() -> int:
    """Bytes of the process's resident set at its largest."""
    try:
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
