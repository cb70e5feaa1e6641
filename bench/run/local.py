"""The local executor: cells one after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from shutil import rmtree
from typing import Any, Literal

from bench.embed.store import PaidEncoder
from bench.errors import BadInput
from bench.mteb_result import write_task_result
from bench.record import Record, Results
from bench.run.cell import failed, run_cell
from bench.run.workbench import Workbench
from bench.spec import Cell

Overwrite = Literal["never", "failed", "always"]


@dataclass(frozen=True)
class Planned:
    """What is to be done with a cell.

    Attributes:
        cell: the cell.
        identity: everything that can change its result, as far as it is known.
        stands: the record that stands, when it is not to run.
        problem: why it cannot run, when its data set or its encoder cannot be opened.
    """

    cell: Cell
    identity: dict[str, Any]
    stands: Record | None = None
    problem: BadInput | None = None

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
        record = None if overwrite == "always" else results.find(identity)
        stands = record is not None and (record.status != "failed" or overwrite == "never")
        lacks = keep and record is not None and record.status == "ok" and not results.artefact(identity).exists()
        planned.append(Planned(cell, identity, record if stands and not lacks else None))
    return planned


def checked(planned: Sequence[Planned], paid: Iterable[PaidEncoder]) -> list[Planned]:
    """The same cells, with a problem for those that an encoder which charges would have to encode and cannot.

    Raises:
        BadInput: when something is due and none of it can run; it is the first of the problems.
    """
    problems: dict[str, BadInput] = {}
    for encoder in paid:
        try:
            encoder.check()
        except BadInput as problem:
            problems[encoder.name] = problem
    found = [each if each.problem else replace(each, problem=problems.get(each.cell.encoder)) for each in planned]
    due = [each for each in found if each.due]
    if due and due[0].problem and all(each.problem for each in due):
        raise due[0].problem
    return found


def run_cells(
    planned: Sequence[Planned], bench: Workbench, results: Results, *, keep: bool = False
) -> Iterator[tuple[Cell, Record]]:
    """Runs the cells that are due, writes their records (and what mteb reads), and yields each as it is done.

    What their methods have learnt is written with `keep`, and otherwise no longer there.
    """
    due = [each for each in planned if each.due]
    for scratch, some in groupby(due, key=lambda each: results.scratch(each.identity)):
        for each in some:
            if each.problem:
                done = failed(each.cell, each.identity, bench.device, each.problem)
            else:
                rmtree(artefact := results.artefact(each.identity), ignore_errors=True)
                done = run_cell(each.cell, each.identity, bench, scratch, artefact if keep else None)
            write_task_result(results.folder, done.record)
            results.write(*done)
            yield each.cell, done.record
        rmtree(scratch, ignore_errors=True)
    results.forget_repaired()
