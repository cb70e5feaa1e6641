"""What a person sees in a terminal: progress, tables; plain, untruncated text where there is no terminal."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bench.names import MAIN
from bench.report import Table as Worded
from bench.report import load_boards, overall, overall_sheet, published_tables, sheet, write_leaderboards
from bench.report.comparisons import (
    VERSUS_LEGEND,
    diff_facts,
    diff_legend,
    diff_notes,
    diff_tables,
    diff_verdict,
    versus_facts,
    versus_tables,
)
from bench.report.diff import compare_folders
from bench.report.render import comma_separated
from bench.report.words import clean, place

if TYPE_CHECKING:  # they bring torch, and a report needs none
    from bench.embed.store import Cost, PaidEncoder
    from bench.record import Record
    from bench.run.estimate import Estimate
    from bench.run.local import Planned
    from bench.spec import Cell, Suite
    from bench.track import Dashboard, Tracked

PLAIN_WIDTH = 10_000  # columns; wide enough that Rich cuts nothing when nobody's window is there to wrap it


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=PLAIN_WIDTH)


class RunView:
    """Progress of a run, on standard error: bars on a terminal, a line for each finished cell elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = _console(stderr=True)
        self._quiet = quiet
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
            transient=True,
        )
        self._cells: TaskID | None = None
        self._encoding: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def rows(self, asked: Suite) -> None:
        """Says which methods are not tuned, where others are."""
        rows = {row: tuned for dataset in asked.datasets for row, tuned in asked.rows(dataset).items()}
        single = [row for row, tuned in rows.items() if row == tuned]
        if asked.tune and single:
            self._say(f"nothing more to tune, so one row each: {', '.join(single)}")

    def costs(self, costs: Mapping[PaidEncoder, Cost]) -> None:
        """Says about what each encoder will charge."""
        for encoder, cost in costs.items():
            self._say(f"{encoder.name}: about {cost.tokens:,} tokens to encode, about ${cost.dollars:,.2f}")

    def begin(self, planned: Sequence[Planned]) -> None:
        """Says how many cells are to run and how many have a record already."""
        due = sum(each.due for each in planned)
        self._say(
            f"{due} of {len(planned)} cells to run"
            if due
            else f"nothing to run: all {len(planned)} cells have a record"
        )
        self._cells = self._progress.add_task("cells", total=due, visible=due > 0)

    def encoding(self, what: str, done: int, total: int) -> None:
        """Moves the bar of one set of items by `done`."""
        if what not in self._encoding:
            self._encoding[what] = self._progress.add_task(f"encoding {what}", total=total)
        self._progress.advance(self._encoding[what], done)
        if self._progress.tasks[self._encoding[what]].finished:
            self._progress.update(self._encoding[what], visible=False)

    def done(self, cell: Cell, record: Record) -> None:
        """Reports one finished cell."""
        if record.status == "ok":
            self._say(f"{cell}: {MAIN} {record.metrics[MAIN]:.4f}, fitted in {record.fit_seconds:.1f} s")
        else:
            self._say(f"{cell}: {record.status}: {record.reason}")
        if self._cells is not None:
            self._progress.advance(self._cells)

    def _say(self, line: str) -> None:
        if not self._quiet:
            self._console.print(Text(line))


def waiting(what: str, *, quiet: bool) -> AbstractContextManager[object]:
    """Says on a terminal what is being waited for, as long as it is."""
    console = _console(stderr=True)
    return console.status(what) if console.is_terminal and not quiet else nullcontext()


def print_tracked(folder: Path, tracked: Tracked, *, quiet: bool) -> None:
    """Says on standard error what has become of a run's cells at W&B; quietly, only what went wrong."""
    if tracked.problem or (tracked.done and not quiet):
        sends = "" if tracked.mode == "online" and not tracked.problem else f"; `tunebench push {folder}` sends them"
        _console(stderr=True).print(Text(f"{tracked}{sends}"))


def print_told(told: Tracked | Dashboard, as_json: bool) -> None:
    """Prints what has become of a results folder, or of the dashboard, at W&B."""
    if as_json:
        _write_json(asdict(told))
    else:
        _console().print(Text(str(told)))


def print_foresight(states: Iterable[tuple[Cell, str]], estimates: Sequence[Estimate], *, as_json: bool) -> None:
    """Prints what a run would do with each cell, and about what that costs."""
    from bench.run.estimate import ASSUMPTIONS, total

    cells = [{"cell": str(cell), "state": state} for cell, state in states]
    if as_json:
        costs = {"estimate": [asdict(row) for row in estimates], "total": asdict(total(estimates))}
        _write_json({"cells": cells, **costs, "assumptions": ASSUMPTIONS})
        return
    print_rows(cells, as_json=False)
    if estimates:
        console = _console()
        console.print()
        print_rows([_worded(row) for row in (*estimates, total(estimates))], as_json=False)
        console.print(Text(ASSUMPTIONS))


def _worded(estimate: Estimate) -> dict[str, str]:
    def worded(value: float | None, form: str = ",.0f", unit: float = 1) -> str:
        return "?" if value is None else f"{value / unit:{form}}"

    return {
        "data set": estimate.dataset,
        "encoder": estimate.encoder,
        "cells": worded(estimate.cells),
        "documents": worded(estimate.documents),
        "queries": worded(estimate.queries),
        "tokens, M": worded(estimate.tokens, ",.1f", 1e6),
        "GPU hours": worded(estimate.gpu_hours, ",.2f"),
        "vectors, GB": worded(estimate.vectors, ",.2f", 1e9),
        "to fetch, GB": worded(estimate.data, ",.2f", 1e9),
    }


def _write_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def print_rows(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Prints rows that share their keys, as a table or as a JSON list."""
    if as_json:
        _write_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(value) for value in row.values()))
    _console().print(table)


def print_boards(folder: Path, as_json: bool) -> None:
    """Writes the leaderboards of a results folder and prints them, the page's path last."""
    boards = load_boards(folder)
    page = write_leaderboards(folder, boards)
    if as_json:
        rows = list(csv.DictReader(io.StringIO(comma_separated(boards))))
        _write_json({"page": str(page), "rows": rows})
        return
    console = _console()
    for worded in (*map(overall_sheet, overall(boards)), *map(sheet, boards)):
        _print_table(console, worded.title, worded.main)
        for text in (worded.verdict, *worded.notes):
            console.print(Text(text))
        console.print()
    for table in published_tables(boards):
        _print_table(console, f"Published and measured: {table.caption}", table)
    console.print(Text(f"page: {page.resolve()}"))


def print_versus(folder: Path, first: str, second: str, as_json: bool) -> None:
    """Compares two methods of a results folder and prints what differs, board by board."""
    from bench.report.versus import compare_methods  # it brings torch

    compared, incomplete = compare_methods(folder, first, second)
    if as_json:
        named = {"first": first, "second": second}
        lists = {"boards": list(map(versus_facts, compared)), "incomplete": list(map(asdict, incomplete))}
        _write_json(named | lists)
        return
    console = _console()
    console.print(Text(f"A: {clean(first)}\nB: {clean(second)}\n"))
    for each in compared:
        for table in versus_tables(each):
            _print_table(console, table.caption, table)
    for setting in incomplete:
        console.print(Text(f"left out, as not all seeds have run: {place(setting)}"))
    console.print(Text(VERSUS_LEGEND))


def print_diff(old: Path, new: Path, as_json: bool) -> bool:
    """Prints what became of the cells of an old results folder in a new one; returns whether something is worse."""
    diff = compare_folders(old, new)
    if as_json:
        _write_json(diff_facts(diff))
        return diff.regressed
    console = _console()
    for table in diff_tables(diff):
        _print_table(console, table.caption, table)
    for text in (diff_legend(diff), *diff_notes(diff), diff_verdict(diff)):
        console.print(Text(text))
    return diff.regressed


def _print_table(console: Console, title: str, worded: Worded) -> None:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(worded.header):
        table.add_column(Text(name), justify="left" if number == 0 else "right", overflow="fold")
    for line in worded.lines:
        table.add_row(*(Text(cell) for cell in line.cells), style="bold" if line.bold else None)
    console.print(table)
