"""What the commands print: tables on a terminal, plain text or JSON elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.names import BASELINE
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
from bench.report.words import clean, listed, place, signed
from bench.terminal import console_of, print_rows, write_json
from bench.words import cell_name, duration, plural

if TYPE_CHECKING:  # they bring torch, and a report needs none
    from bench.data.imported import Imported
    from bench.report.difference import Difference
    from bench.run.estimate import Estimate
    from bench.ship.artefact import Artefact
    from bench.ship.card import Measured
    from bench.ship.update import Updated
    from bench.spec import Cell
    from bench.track import Dashboard, Tracked


def print_tracked(folder: Path, tracked: Tracked, *, quiet: bool) -> None:
    """Says on standard error what has become of a run's cells at W&B; quietly, only what went wrong."""
    if tracked.problem or (tracked.done and not quiet):
        sends = "" if tracked.mode == "online" and not tracked.problem else f"; `tunebench push {folder}` sends them"
        console_of(stderr=True).print(Text(f"{tracked}{sends}"))


def print_told(told: Tracked | Dashboard, as_json: bool) -> None:
    """Prints what has become of a results folder, or of the dashboard, at W&B."""
    if as_json:
        write_json(asdict(told))
    else:
        console_of().print(Text(str(told)))


def print_foresight(states: Iterable[tuple[Cell, str]], estimates: Sequence[Estimate], *, as_json: bool) -> None:
    """Prints what a run would do with each cell, and about what that costs."""
    from bench.run.estimate import ASSUMPTIONS, total

    cells = [{"cell": str(cell), "state": state} for cell, state in states]
    if as_json:
        costs = {"estimate": [asdict(row) for row in estimates], "total": asdict(total(estimates))}
        write_json({"cells": cells, **costs, "assumptions": ASSUMPTIONS})
        return
    print_rows(cells, as_json=False)
    if estimates:
        console = console_of()
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
        "time": "?" if estimate.seconds is None else duration(estimate.seconds),
        "vectors, GB": worded(estimate.vectors, ",.2f", 1e9),
        "to fetch, GB": worded(estimate.data, ",.2f", 1e9),
    }


def print_boards(folder: Path, as_json: bool) -> None:
    """Writes the leaderboards of a results folder and prints them, the page's path last."""
    boards = load_boards(folder)
    page = write_leaderboards(folder, boards)
    if as_json:
        rows = list(csv.DictReader(io.StringIO(comma_separated(boards))))
        write_json({"page": str(page), "rows": rows})
        return
    console = console_of()
    for worded in (*map(overall_sheet, overall(boards)), *map(sheet, boards)):
        _print_table(console, worded.title, worded.main)
        for text in (worded.verdict, *worded.notes):
            console.print(Text(text))
        console.print()
    for table in published_tables(boards):
        _print_table(console, f"Published and measured: {table.caption}", table)
    console.print(Text(f"page: {page.resolve()}"))


def print_decisions(folder: Path, as_json: bool) -> None:
    """Prints what to ship, board by board, after writing the leaderboards that show it."""
    boards = load_boards(folder)
    page = write_leaderboards(folder, boards)
    if as_json:
        decisions = [board.decision.model_dump() for board in boards if board.decision]
        write_json({"page": str(page), "decisions": decisions})
        return
    console = console_of()
    for worded in map(sheet, boards):
        if worded.decision:
            console.print(Text(worded.title, style="bold"))
            for line in worded.decision:
                console.print(Text(line))
            if worded.curves:
                console.print()
                _print_table(console, worded.curves.caption, worded.curves)
            console.print()
    console.print(Text(f"page: {page.resolve()}"))


def print_imported(imported: Imported, out: Path, as_json: bool) -> None:
    """Prints what was taken over into a BEIR folder, and what was not."""
    if as_json:
        write_json({"folder": str(out), **asdict(imported)})
        return
    console = console_of()
    copied = {"documents": len(imported.documents), "queries": len(imported.queries)}
    for what, number in imported.counts.items():
        copies = f", {plural(copied[what], 'near-copy')} among them" if copied.get(what) else ""
        console.print(Text(f"{number:,} {what}{copies}"))
    if imported.dropped:
        console.print()
        rows = [{"left out": each.why, "times": each.times, "first": each.first} for each in imported.dropped]
        print_rows(rows, as_json=False)
        console.print()
    console.print(Text(f"written to {out}; `tunebench recommend --data {out}` says what to ship"))


def print_exported(artefact: Artefact, measured: Measured, out: Path, as_json: bool) -> None:
    """Prints what was exported, and how good it is."""
    record = artefact.named.record
    cell = cell_name((record.dataset, record.encoder, record.method), record.seed)
    files = sorted(path.name for path in out.iterdir())
    if as_json:
        write_json({"folder": str(out), "cell": cell, "files": files, **asdict(measured)})
        return
    console = console_of()
    console.print(Text(f"{cell}: NDCG@10 {measured.now:.4f}, written to {out}: {', '.join(files)}"))
    if measured.drifted:
        why = "fitted again" if artefact.fitted_again else "with what was added"
        console_of(stderr=True).print(Text(f"its record has {measured.recorded:.4f}; this is the method {why}"))


def print_updated(updated: Updated, out: Path, as_json: bool) -> None:
    """Prints what an update has done."""
    if as_json:
        write_json({"folder": str(out), **asdict(updated)})
        return
    added = listed([plural(updated.added_documents, "document"), plural(updated.added_queries, "query")])
    now = f"{updated.documents:,} documents and {updated.train_queries:,} train queries"
    touched = plural(updated.touched_documents, "document")
    console_of().print(Text(f"{added} added, {touched} touched; now {now}: {out}"))


def print_checked(difference: Difference, as_json: bool) -> bool:
    """Prints an artefact against `none` on held-out queries; returns whether it is better beyond noise."""
    better = difference.sign == 1
    if as_json:
        write_json({**asdict(difference), "better": better})
        return better
    width = "" if difference.over_queries is None else f" ± {difference.over_queries:.3f}"
    gain = f"{signed(difference.value, '.3f')}{width}"
    figures = f"NDCG@10 {difference.first:.3f}, {BASELINE} {difference.second:.3f}: {gain}"
    clusters = f"{plural(difference.queries, 'query')} in {plural(difference.clusters, 'cluster')}"
    tested = f"p = {difference.p['permutation']:.4f}, {clusters}"
    verdict = "better beyond noise" if better else "no longer better beyond noise"
    console_of().print(Text(f"{verdict}: {figures} ({tested})"))
    return better


def print_versus(folder: Path, first: str, second: str, as_json: bool) -> None:
    """Compares two methods of a results folder and prints what differs, board by board."""
    from bench.report.versus import compare_methods  # it brings torch

    compared, incomplete = compare_methods(folder, first, second)
    if as_json:
        named = {"first": first, "second": second}
        lists = {"boards": list(map(versus_facts, compared)), "incomplete": list(map(asdict, incomplete))}
        write_json(named | lists)
        return
    console = console_of()
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
        write_json(diff_facts(diff))
        return diff.regressed
    console = console_of()
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
