"""How durations, counts and cells read, in whatever is printed."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them: 40 ms, 0.4 s, 42 s, 2 m 05 s, 1 h 03 m."""
    if round(seconds, 3) < 0.1:
        return f"{1000 * seconds:.0f} ms"
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} m"


def plural(count: int, noun: str) -> str:
    """A count and what is counted."""
    many = f"{noun[:-1]}ies" if noun.endswith(("ry", "py")) else f"{noun}s"
    return f"{count:,} {noun if count == 1 else many}"


def cell_name(kind: tuple[str, str, str], seed: int) -> str:
    """Data set, encoder and method of a cell, and its seed."""
    return f"{' · '.join(kind)} · seed {seed}"
