"""Which cell runs when: in the order of the suite, one after the other where they share work, once more when lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from bench.errors import BadInput
from bench.record import Record, Results, cell_id
from bench.run.cell import failed
from bench.run.estimate import Foresight
from bench.run.executor import Executor, Lost
from bench.run.plan import Planned
from bench.run.worker import Costs, close_log
from bench.spec import Cell

ATTEMPTS = 2  # at a cell whose worker dies
HANGING = "Timeout ("  # what `faulthandler` writes when the time is over


@dataclass(frozen=True)
class Begun:
    """A cell has been given to a worker."""

    cell: Cell


@dataclass(frozen=True)
class Retried:
    """A cell's worker has died, and it is to run once more."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Ended:
    """A cell has its record."""

    cell: Cell
    record: Record


Event = Begun | Retried | Ended


def plan_cells(cells: Sequence[Cell], executor: Executor) -> tuple[list[Planned], Costs]:
    """Finds out what is to be done with the cells, and about what that costs where encoders are charged for.

    Raises:
        BadInput: when something is due and none of it can run; it is the first of the problems.
    """
    groups = {str(n): list(some) for n, (_, some) in enumerate(groupby(cells, key=lambda c: (c.dataset, c.encoder)))}
    waiting, running, refused = deque(groups), set[str](), set[str]()
    found: dict[str, list[Planned]] = {}
    costs: Costs = {}
    while waiting or running:
        while waiting and len(running) < executor.seats:
            running.add(key := waiting.popleft())
            executor.begin(key, "plan", groups[key])
        key, answer = executor.answer()
        if isinstance(answer, Lost):
            if key in refused:  # it is not the data set that kills workers
                raise BadInput(answer.reason)
            refused.add(key)
            executor.begin(key, "refuse", (groups[key], answer.reason))
            continue
        running.remove(key)
        found[key], added = answer
        for name, cost in added.items():
            costs[name] = costs[name] + cost if name in costs else cost
    planned = [each for key in groups for each in found[key]]
    due = [each for each in planned if each.due]
    if due and due[0].problem and all(each.problem for each in due):
        raise due[0].problem
    return planned, costs


def foresee_cells(cells: Sequence[Cell], executor: Executor) -> tuple[Foresight, Costs]:
    """Says what a run would do with the cells, and about what that would cost.

    Raises:
        BadInput: when a worker dies of it.
    """
    executor.begin("", "foresee", cells)
    _, answer = executor.answer()
    if isinstance(answer, Lost):
        raise BadInput(answer.reason)
    foresight, costs = answer
    return foresight, costs


def run_cells(
    planned: Sequence[Planned], executor: Executor, results: Results, attempts: int = ATTEMPTS
) -> Iterator[Event]:
    """Runs the cells that are due, and tells what happens. Their records are written when it is told that they ended.

    Args:
        planned: the cells.
        executor: runs them.
        results: where records are.
        attempts: at a cell whose worker dies.

    Raises:
        BadInput: when nothing can be written.
    """
    waiting, running = deque(_sharing(planned, results)), dict[str, deque[Planned]]()
    losses: dict[str, int] = {}

    def begin(group: deque[Planned]) -> Iterator[Event]:
        running[cell_id(group[0].identity)] = group
        executor.begin(cell_id(group[0].identity), "run", group[0])
        yield Begun(group[0].cell)

    while waiting or running:
        while waiting and len(running) < executor.seats:
            yield from begin(waiting.popleft())
        key, answer = executor.answer()
        group = running.pop(key)
        each = group[0]
        if isinstance(answer, Lost):
            losses[key] = losses.get(key, 0) + 1
            answer = _lost(each, answer, results)
            if losses[key] < attempts:
                yield Retried(each.cell, answer.reason or "")
                yield from begin(group)
                continue
        group.popleft()
        yield Ended(each.cell, answer)
        if group:
            yield from begin(group)
        else:
            results.clear_scratch(each.identity)
    results.forget_repaired()


def _sharing(planned: Sequence[Planned], results: Results) -> list[deque[Planned]]:
    """The due cells, those together that share a scratch folder; what is left in other such folders is removed."""
    shared: dict[Path, deque[Planned]] = {}
    for each in planned:
        if each.due:
            shared.setdefault(results.scratch(each.identity), deque()).append(each)
    for each in planned if results.has_scratch() else ():
        if results.scratch(each.identity) not in shared:
            results.clear_scratch(each.identity)  # a run was killed after its last record
    return list(shared.values())


def _lost(each: Planned, lost: Lost, results: Results) -> Record:
    """Records a cell whose worker has died, with what it could still say."""
    log = results.log(each.identity)
    said = close_log(log)
    reason = "not done within the timeout, so its worker was ended" if HANGING in said else lost.reason
    record = failed(each.cell, each.identity, f"{reason}; see logs/{log.name}" if said else reason)
    results.write(record, None)
    return record
