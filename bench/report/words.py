"""How names, numbers and durations read, in whatever is printed of a board."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.entrants import Setting
from bench.words import plural

GAP, TO = "—", "–"


def signed(value: float, form: str) -> str:
    """A number with its sign."""
    return f"{value:+{form}}".replace("-", "−")  # a true minus sign is as wide as the plus


def thousandths(value: float | None) -> str:
    """Three decimals, or a gap."""
    return GAP if value is None else f"{value:.3f}"


def listed(names: Sequence[str]) -> str:
    """One name or more, with an “and” before the last."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def conditions(setting: Setting) -> tuple[str, ...]:
    """What a title says of a setting besides its data set: encoder, split, limit and device."""
    limit = () if setting.limit is None else (f"limit {setting.limit:,}",)
    return setting.encoder, f"{setting.split} split", *limit, device(setting)


def place(setting: Setting) -> str:
    """Data set, encoder and split, in one line."""
    return clean(" · ".join((setting.dataset, *conditions(setting)[:-1])))


def title(setting: Setting, seeds: Sequence[int]) -> str:
    """What a board is about, in one line."""
    return clean(" · ".join((setting.dataset, *conditions(setting), seed_range(seeds))))


def device(setting: Setting) -> str:
    """The accelerator and the number of threads."""
    return f"{setting.accelerator}, {plural(setting.threads, 'thread')}"


def revision(setting: Setting) -> str:
    """The encoder's version and what else decides its vectors."""
    settings = f" ({setting.encoder_settings})" if setting.encoder_settings else ""
    return f"encoder revision {str(setting.encoder_revision)[:12]}{settings}"


def seed_range(seeds: Sequence[int]) -> str:
    """Sorted seeds, shortened when none is missing between the first and the last."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"seeds {seeds[0]}{TO}{seeds[-1]}"
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def clean(text: str) -> str:
    """One line of printable text: a name must not break a table or drive a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
