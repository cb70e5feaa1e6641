"""Which records of one board stand for which row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from bench.record import Record


@dataclass(frozen=True)
class Setting:
    """What all cells of one board share; figures across two settings cannot be compared."""

    dataset: str
    fingerprint: str
    split: str
    limit: int | None
    encoder: str
    encoder_revision: str
    encoder_settings: str
    accelerator: str
    threads: int

    @classmethod
    def of(cls, record: Record) -> Setting:
        """The setting in which a cell ran."""
        return cls(**{name: record.identity.get(name, "") for name in SETTING})

    @property
    def order(self) -> tuple[str | int, ...]:
        """Sorts settings that miss a value, a failed cell's fingerprint or the limit, among those that have one."""
        limit = -1 if self.limit is None else self.limit
        names = (self.dataset, self.encoder, self.split, self.accelerator, self.fingerprint)
        encoder = (self.encoder_revision, self.encoder_settings)
        return (*(str(name) for name in (*names, *encoder)), self.threads, limit)


SETTING = tuple(field.name for field in fields(Setting))


@dataclass(frozen=True)
class Entrant:
    """One row to be: the cells of one method in one configuration, at most one a seed.

    Attributes:
        label: the method's label; two configurations that share it add in braces what tells them apart.
        cells: the records, by seed.
    """

    label: str
    cells: tuple[Record, ...]

    @property
    def done(self) -> dict[int, Record]:
        """The cells that have scores, by seed."""
        return {record.seed: record for record in self.cells if record.status == "ok"}


def by_setting(records: Iterable[Record]) -> dict[Setting, list[Record]]:
    """The records of each setting, the settings in their order."""
    settings: dict[Setting, list[Record]] = defaultdict(list)
    for record in records:
        settings[Setting.of(record)].append(record)
    return {setting: settings[setting] for setting in sorted(settings, key=lambda setting: setting.order)}


def entrants(records: Sequence[Record]) -> tuple[list[Entrant], dict[str, int]]:
    """Groups the records of one setting into rows, and counts by label those that a newer version replaced.

    A row is everything in the identity but the setting and the seed, so no row averages two configurations. Among
    those with one label the newest version counts, and stands alone even where the older one has more seeds.
    Configurations of the same version, such as two sets of default hyperparameters, are rows of their own: nothing
    says which of them is meant.
    """
    labels: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        labels[record.method].append(record)
    rows, replaced = [], {}
    for label, cells in sorted(labels.items()):
        newest = max(map(_version, cells))
        current = [record for record in cells if _version(record) == newest]
        rows += _configurations(label, current)
        if len(current) < len(cells):
            replaced[label] = len(cells) - len(current)
    return rows, replaced


def _version(record: Record) -> tuple[int, int]:
    return record.identity["schema"], record.identity["method_version"]


def _configurations(label: str, records: Sequence[Record]) -> list[Entrant]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[repr(sorted(_configuration(record).items()))].append(record)
    configurations = [_configuration(cells[0]) for cells in groups.values()]
    differing = sorted(
        name
        for name in set().union(*configurations)
        if len({repr(configuration.get(name)) for configuration in configurations}) > 1
    )
    found = []
    for configuration, cells in zip(configurations, groups.values(), strict=True):
        apart = ", ".join(f"{name}={configuration.get(name)}" for name in differing)
        found.append(Entrant(f"{label} {{{apart}}}" if apart else label, tuple(sorted(cells, key=lambda c: c.seed))))
    return sorted(found, key=lambda entrant: entrant.label)


def _configuration(record: Record) -> dict[str, Any]:
    rest = {name: value for name, value in record.identity.items() if name not in (*SETTING, "seed")}
    hyperparameters: dict[str, Any] = rest.pop("hyperparameters")
    return rest | hyperparameters
