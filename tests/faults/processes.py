"""What the tests of processes share: to wait, and to read what was measured."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.names import METRICS
from bench.record import Record, Results

Start = Callable[..., subprocess.Popen[str]]
Tally = Callable[[str, int], None]


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    """Waits for a process and returns what it said on standard error."""
    _, said = process.communicate(timeout=300)
    assert process.returncode == code, said
    return said


def until(true: Callable[[], object], seconds: float = 120) -> None:
    """Waits for something to come true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it has not come true"
        time.sleep(0.02)


def by_method(out: Path) -> dict[str, Record]:
    """The records of a single seed."""
    return {record.method: record for record in Results(out).records()}


def scores(out: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """All that was measured of accuracy, by method and seed."""
    return {
        (record.method, record.seed): {"status": record.status, **{name: record.metrics.get(name) for name in METRICS}}
        for record in Results(out).records()
    }
