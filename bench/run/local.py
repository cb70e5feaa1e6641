"""The local executor: cells one after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from bench.mteb_result import write_task_result
from bench.record import Record, Results
from bench.run.cell import run_cell
from bench.run.workbench import Workbench
from bench.spec import Cell

Overwrite = Literal["never", "failed", "always"]
Planned = tuple[Cell, dict[str, Any], Record | None]


def plan(cells: Sequence[Cell], bench: Workbench, results: Results, overwrite: Overwrite) -> list[Planned]:
    """Finds out what is to be done before anything is: each cell with its identity and the record that stands.

    Args:
        cells: what is asked for.
        bench: opens the data sets and encoders.
        results: where records are.
        overwrite: "failed" lets a failed record stand no longer, "always" none, "never" all.

    Raises:
        BadInput: when a data set or encoder cannot be opened.
    """
    planned = []
    for cell in cells:
        identity = bench.identity(cell)
        record = None if overwrite == "always" else results.find(identity)
        stands = record is not None and (record.status == "ok" or overwrite == "never")
        planned.append((cell, identity, record if stands else None))
    return planned


def run_cells(planned: Sequence[Planned], bench: Workbench, results: Results) -> Iterator[tuple[Cell, Record]]:
    """Runs the cells that have no record, writes theirs (and what mteb reads), and yields each as it is done."""
    for cell, identity, stands in planned:
        if stands is None:
            record, per_query = run_cell(cell, identity, bench)
            write_task_result(results.folder, record)
            results.write(record, per_query)
            yield cell, record
