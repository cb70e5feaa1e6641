"""What is to be done with each cell, found out before anything is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from bench.embed.store import PaidEncoder
from bench.errors import BadInput
from bench.record import Record, Results
from bench.run.workbench import Workbench
from bench.spec import Cell, Kind

Overwrite = Literal["never", "failed", "always"]


OWN = ("fit", "reencode", "search", "score")  # phases that a cell does not share with others


@dataclass(frozen=True)
class Planned:
    """What is to be done with a cell.

    Attributes:
        cell: the cell.
        identity: everything that can change its result, as far as it is known.
        stands: the record that stands, when it is not to run.
        problem: why it cannot run, when its data set or its encoder cannot be opened.
        seconds: what it has, where that is not what all cells of the run have.
    """

    cell: Cell
    identity: dict[str, Any]
    stands: Record | None = None
    problem: BadInput | None = None
    seconds: float | None = None

    @property
    def due(self) -> bool:
        """Whether it is to run."""
        return self.stands is None


def plan(
    cells: Sequence[Cell], bench: Workbench, results: Results, overwrite: Overwrite, *, keep: bool = False
) -> list[Planned]:
    """Finds out what is to be done before anything is.

    Args:
        cells: what is asked for.
        bench: opens the data sets and encoders.
        results: where records are.
        overwrite: "failed" lets a failed record stand no longer, "always" none, "never" all.
        keep: whether a record stands only beside what its method has learnt.
    """
    planned = []
    for cell in cells:
        try:
            identity = bench.identity(cell)
        except BadInput as problem:
            planned.append(Planned(cell, bench.asked(cell), problem=problem))
            continue
        planned.append(Planned(cell, identity, standing(identity, results, overwrite, keep=keep)))
    return planned


def standing(identity: dict[str, Any], results: Results, overwrite: Overwrite, *, keep: bool) -> Record | None:
    """The record of a cell that need not run; the arguments are those of `plan`."""
    record = None if overwrite == "always" else results.find(identity)
    if record is not None and record.status == "ok" and not results.has_scores(record):
        return None
    stands = record is not None and (record.status != "failed" or overwrite == "never")
    lacks = keep and record is not None and record.status == "ok" and not results.artefact(identity).exists()
    return record if stands and not lacks else None


def checked(planned: Sequence[Planned], paid: Iterable[PaidEncoder]) -> list[Planned]:
    """The same cells, with a problem for those that an encoder which charges would have to encode and cannot."""
    problems: dict[str, BadInput] = {}
    for encoder in paid:
        try:
            encoder.check()
        except BadInput as problem:
            problems[encoder.name] = problem
    return [each if each.problem else replace(each, problem=problems.get(each.cell.encoder)) for each in planned]


def usual_seconds(planned: Iterable[Planned]) -> dict[Kind, float]:
    """What the cells that need not run took, without what they share with others, by kind."""
    took: dict[Kind, list[float]] = defaultdict(list)
    for each in planned:
        if each.stands and each.stands.status == "ok":
            took[each.cell.kind].append(sum(each.stands.seconds.get(phase, 0.0) for phase in OWN))
    return {kind: fmean(seconds) for kind, seconds in took.items()}
