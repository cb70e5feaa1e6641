"""How many documents a training encoded, and what came of them: for methods that count it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.record import Record

PARTS = ("cache", "refresh", "step")


@dataclass(frozen=True)
class Encodes:
    """Averages over the seeds of one row.

    Attributes:
        parts: documents encoded, by name of `PARTS`: for the first cache, for later ones, in steps.
        checks: documents encoded so far, and the dev metric then, at each check that all seeds made.
        drift: the last mean squared distance of the cached vectors, corrected if they are, from current ones; None
            when it is not known of all seeds.
        tv: the last total variation between the softmax over cached vectors and that over current ones; likewise.
    """

    parts: dict[str, float]
    checks: tuple[tuple[float, float], ...]
    drift: float | None
    tv: float | None

    @property
    def total(self) -> float:
        """All documents encoded."""
        return sum(self.parts.values())

    @classmethod
    def of(cls, records: Sequence[Record]) -> Encodes | None:
        """What the cells of a row say; None when one of them does not count its encodes."""
        if not all("encodes_step" in record.counts for record in records):
            return None
        paths = [zip(r.curves.get("encodes", []), r.curves.get("dev", []), strict=False) for r in records]
        return cls(
            parts={part: float(np.mean([r.counts.get(f"encodes_{part}", 0) for r in records])) for part in PARTS},
            checks=tuple(
                (float(x), float(y)) for x, y in (np.mean(each, axis=0) for each in zip(*paths, strict=False))
            ),
            drift=_last([record.curves.get("drift", []) for record in records]),
            tv=_last([record.curves.get("tv", []) for record in records]),
        )


def _last(curves: Sequence[Sequence[float]]) -> float | None:
    """The mean of the last values, or None when one has none."""
    lasts = [curve[-1] for curve in curves if len(curve)]
    return float(np.mean(lasts)) if len(lasts) == len(curves) and np.isfinite(lasts).all() else None
