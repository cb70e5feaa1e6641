"""Two results folders, an old and a new one: which cells are worse, better or the same, beyond noise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.errors import BadInput
from bench.record import Record, Results, cell_id
from bench.report.difference import Difference, corrected, measure, read_pairs
from bench.report.entrants import Setting, by_setting, entrants

Verdict = Literal["regression", "improvement", "noise", "unchanged"]
Pair = tuple[Record, Record]
_PLACE = ("dataset", "limit", "encoder", "method", "seed")


@dataclass(frozen=True)
class Cells:
    """Cells of one method in one setting, over some seeds.

    Attributes:
        setting: where both folders have them, that of the new folder, or of the one in which they are ok.
        method: the label.
        seeds: in their order.
        reason: why there is nothing to compare, if one is known.
    """

    setting: Setting
    method: str
    seeds: tuple[int, ...]
    reason: str = ""

    @classmethod
    def of(cls, records: Sequence[Record], reason: str = "") -> Cells:
        """Those of records that differ by nothing but the seed."""
        seeds = sorted(record.seed for record in records)
        return cls(Setting.of(records[0]), records[0].method, tuple(seeds), reason)

    @property
    def order(self) -> tuple[object, ...]:
        """Sorts by data set, encoder and split, then by method, on whatever device."""
        setting = self.setting
        place = (setting.dataset, setting.encoder, setting.split, setting.limit or 0)
        return *place, self.method, setting.order, self.seeds, self.reason


@dataclass(frozen=True)
class Row:
    """Cells that are ok in both folders, compared.

    Attributes:
        cells: which.
        difference: the new ones (`first`) less the old ones (`second`).
        unchanged: whether every query has the same NDCG@10 to the last bit.
        fit_ratio: the new time to fit as a part of the old; None on different devices and where one did not tell.
        changes: what else differs: name in the identity or the environment → old and new value.
    """

    cells: Cells
    difference: Difference
    unchanged: bool
    fit_ratio: float | None
    changes: dict[str, tuple[str, str]]

    @property
    def verdict(self) -> Verdict:
        """What the test says: noise is a change that is not significant."""
        if self.unchanged:
            return "unchanged"
        signs: dict[int, Verdict] = {-1: "regression", 0: "noise", 1: "improvement"}
        return signs[self.difference.sign]


@dataclass(frozen=True)
class Diff:
    """What became of the cells of an old results folder in a new one.

    Attributes:
        rows: the cells that could be compared, which are Holm's family.
        lost: ok in the old folder and failed or skipped in the new one, with the reason.
        mended: failed or skipped in the old one, with the reason, and ok in the new one.
        without: ok in neither.
        untested: ok in both, but not to be compared, with the reason.
        only_old: those that the new folder has not.
        only_new: those that the old one has not.
    """

    rows: tuple[Row, ...]
    lost: tuple[Cells, ...]
    mended: tuple[Cells, ...]
    without: tuple[Cells, ...]
    untested: tuple[Cells, ...]
    only_old: tuple[Cells, ...]
    only_new: tuple[Cells, ...]

    @property
    def regressed(self) -> bool:
        """Whether something is worse in the new folder."""
        return bool(self.lost) or any(row.verdict == "regression" for row in self.rows)


def compare_folders(old: Path, new: Path) -> Diff:
    """Compares the cells that two results folders share by data set, limit, split, encoder, method and seed.

    Raises:
        BadInput: when a folder has no records, one cannot be read, or there is nothing to compare.
    """
    pairs, only_old, only_new = _matched(_current(Results(old)), _current(Results(new)))
    by_outcome: dict[tuple[bool, bool], list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_outcome[pair[0].status == "ok", pair[1].status == "ok"].append(pair)
    rows, untested = _rows(Results(old), Results(new), by_outcome[True, True])
    lost, mended, without = (by_outcome[outcome] for outcome in ((True, False), (False, True), (False, False)))
    found = Diff(
        rows=rows,
        lost=_listed(_named_as(was, now) for was, now in lost),
        mended=_listed(_named_as(now, was) for was, now in mended),
        without=_listed(now for _, now in without),
        untested=untested,
        only_old=_listed(only_old),
        only_new=_listed(only_new),
    )
    if not (found.rows or found.lost or found.mended):
        reason = f": {untested[0].reason}" if untested else ""
        raise BadInput(f"{old} and {new} share no cell that can be compared{reason}")
    return found


def _current(results: Results) -> list[Record]:
    """The records that stand in boards: those that a newer version of their method replaced do not."""
    return [
        record
        for records in by_setting(results.records()).values()
        for entrant in entrants(records)[0]
        for record in entrant.cells
    ]


def _matched(old: Iterable[Record], new: Iterable[Record]) -> tuple[list[Pair], list[Record], list[Record]]:
    """Pairs of cells of one place, and those that stay alone in the old and in the new folder.

    Where a folder has several in one place, as on two devices, the ones with the most in common are a pair.
    """
    places: dict[str, tuple[list[Record], list[Record]]] = defaultdict(lambda: ([], []))
    for folder, records in enumerate((old, new)):
        for record in records:
            places[repr([record.identity[name] for name in _PLACE])][folder].append(record)
    pairs: list[Pair] = []
    alone: tuple[list[Record], list[Record]] = ([], [])
    for was, now in places.values():
        for pair in sorted(product(was, now), key=_distance):
            if _same_split(pair) and pair[0] in was and pair[1] in now:
                pairs.append(pair)
                was.remove(pair[0])
                now.remove(pair[1])
        alone[0].extend(was)
        alone[1].extend(now)
    return pairs, *alone


def _same_split(pair: Pair) -> bool:
    """Whether the cells are of one split; one that failed before its data were opened knows only "default"."""
    splits = {record.identity["split"] for record in pair}
    return len(splits) == 1 or "default" in splits


def _distance(pair: Pair) -> tuple[bool, int, str]:
    """How much two cells differ, the data before all else."""
    one, other = (record.identity for record in pair)
    differing = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    return "fingerprint" in differing, len(differing), cell_id(one) + cell_id(other)


def _rows(old: Results, new: Results, pairs: Sequence[Pair]) -> tuple[tuple[Row, ...], tuple[Cells, ...]]:
    """The compared rows, with p-values corrected over all of them, and those that cannot be compared."""
    groups: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for was, now in pairs:
        groups[_but_the_seed(was), _but_the_seed(now)].append((was, now))
    rows: list[Row] = []
    untested: list[Cells] = []
    for group in groups.values():
        cells = Cells.of([now for _, now in group])
        try:
            rows.append(_row(old, new, cells, group, len(groups)))
        except BadInput as problem:
            untested.append(replace(cells, reason=str(problem)))
    differences = corrected([row.difference for row in rows])
    rows = [replace(row, difference=found) for row, found in zip(rows, differences, strict=True)]
    return tuple(sorted(rows, key=lambda row: row.cells.order)), _sorted(untested)


def _row(old: Results, new: Results, cells: Cells, pairs: Sequence[Pair], family: int) -> Row:
    was, now = pairs[0]
    prints = [str(record.identity.get("fingerprint"))[:12] for record in (was, now)]
    if was.identity.get("fingerprint") != now.identity.get("fingerprint"):
        raise BadInput(f"the data are not the same: fingerprint {prints[0]} is now {prints[1]}")
    scores = read_pairs(((new, now), (old, was)) for was, now in pairs)
    seconds = [[record.fit_seconds or np.nan for record in records] for records in zip(*pairs, strict=True)]
    ratio = float(np.mean(seconds[1]) / np.mean(seconds[0])) if _device(was) == _device(now) else np.nan
    return Row(
        cells=cells,
        # The same splits in both folders: nothing is said of others, so overlapping ones need no second test.
        difference=measure(scores, test_to_train=0.0, family=family),
        unchanged=scores["first"].equals(scores["second"]),
        fit_ratio=None if np.isnan(ratio) else ratio,
        changes={name: values for was, now in pairs for name, values in _changes(_told(was), _told(now))},
    )


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield name, (str(old.get(name, "")), str(new.get(name, "")))


def _told(record: Record) -> dict[str, Any]:
    """What may explain a change: hyperparameters one by one, and versions."""
    told = record.environment | record.identity["hyperparameters"] | record.identity
    return {name: value for name, value in told.items() if name not in {"hyperparameters", "version"}}


def _device(record: Record) -> tuple[Any, Any]:
    return record.identity["accelerator"], record.identity["threads"]


def _but_the_seed(record: Record) -> str:
    return cell_id({name: value for name, value in record.identity.items() if name != "seed"})


def _named_as(ok: Record, other: Record) -> Record:
    """A cell that failed in one folder, in the setting in which it was ok in the other."""
    return other.model_copy(update={"identity": ok.identity})


def _listed(records: Iterable[Record]) -> tuple[Cells, ...]:
    """The cells by what they are and why they failed, if they did."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[_but_the_seed(record), record.reason or ""].append(record)
    listed = (Cells.of(group, f"{group[0].status}: {text}" if text else "") for (_, text), group in groups.items())
    return _sorted(listed)


def _sorted(cells: Iterable[Cells]) -> tuple[Cells, ...]:
    return tuple(sorted(cells, key=lambda each: each.order))
