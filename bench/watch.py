"""What a person sees of a run while it is at work: there, and with `tunebench status` from another shell."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from bench.names import MAIN
from bench.run.journal import Course, courses
from bench.terminal import console_of, table_of, write_json
from bench.words import cell_name, duration, plural

if TYPE_CHECKING:  # they bring torch, and a look needs none
    from bench.run.journal import Happened
    from bench.run.scheduler import Event
    from bench.run.worker import Costs
    from bench.spec import Suite

SHOWN = 10  # cells that are at work, and as many troubles


class RunView:
    """A run, on standard error: a live table on a terminal, a line for each finished cell elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = console_of(stderr=True)
        self._quiet = quiet
        self._bars = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )
        self._encoding: dict[str, TaskID] = {}
        self._course: Course | None = None
        shown = self._console.is_terminal and not quiet
        self._live = Live(console=self._console, get_renderable=self._seen, transient=True) if shown else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """Tells what a person should know."""
        if not self._quiet:
            self._console.print(Text(line))

    def rows(self, asked: Suite) -> None:
        """Says which methods are not tuned, where others are."""
        rows = {row: tuned for dataset in asked.datasets for row, tuned in asked.rows(dataset).items()}
        single = [row for row, tuned in rows.items() if row == tuned]
        if asked.tune and single:
            self.say(f"nothing more to tune, so one row each: {', '.join(single)}")

    def origins(self, origins: Mapping[str, str]) -> None:
        """Says whose code is about to run, besides tunebench's own."""
        for name, origin in origins.items():
            self.say(f"{name} comes from {origin}")

    def costs(self, costs: Costs) -> None:
        """Says about what each encoder will charge."""
        for name, cost in costs.items():
            self.say(f"{name}: about {cost.tokens:,} tokens to encode, about ${cost.dollars:,.2f}")

    def begin(self, course: Course) -> None:
        """Says how many cells are to run and how many have a record already."""
        n = course.due + course.asked.stand
        self.say(f"{course.due} of {n} cells to run" if course.due else f"nothing to run: all {n} cells have a record")
        self._course = course

    def encoding(self, what: str, done: int, total: int) -> None:
        """Moves the bar of one set of items by `done`."""
        if what not in self._encoding:
            self._encoding[what] = self._bars.add_task(f"encoding {what}", total=total)
        self._bars.advance(self._encoding[what], done)
        if self._bars.tasks[self._encoding[what]].finished:
            self._bars.update(self._encoding[what], visible=False)

    def happened(self, event: Event) -> None:
        """Reports a cell that has ended, or is to run once more."""
        from bench.run.scheduler import Ended, Retried

        if isinstance(event, Retried):
            self.say(f"{event.cell}: {event.reason}; it runs once more")
        if isinstance(event, Ended) and event.record.status == "ok":
            record = event.record
            self.say(f"{event.cell}: {MAIN} {record.metrics[MAIN]:.4f}, fitted in {record.fit_seconds:.1f} s")
        elif isinstance(event, Ended):
            self.say(f"{event.cell}: {event.record.status}: {event.record.reason}")

    def _seen(self) -> RenderableType:
        if self._course is None:
            return Group(Text("opening data sets and encoders"), self._bars)
        return Group(*_parts(self._course), self._bars)


def _parts(course: Course) -> Iterable[RenderableType]:
    """The table of a run's data sets and what is at work."""
    yield Text(headline(course))
    if course.due:
        yield table_of(places(course))
    if running := at_work(course, time.time()):
        yield Text("\n".join(f"running {duration(row['seconds'])}: {row['cell']}" for row in running[:SHOWN]))
        if len(running) > SHOWN:
            yield Text(f"and {len(running) - SHOWN} more")


def headline(course: Course) -> str:
    """How far a run is, in one line."""
    done = course.done
    running = len(course.running) if course.alive else 0
    counted = {
        "failed": done["failed"],
        "skipped": done["skipped"],
        "running": running,
        "had a record": course.asked.stand,
    }
    words = [
        f"{done['ok']:,} of {plural(course.due, 'cell')} done",
        *(f"{n:,} {word}" for word, n in counted.items() if n),
    ]
    left = course.left(time.time()) if running else None
    return f"{course.asked.suite}: {', '.join(words)}{'' if left is None else f', about {duration(left)} left'}"


def places(course: Course) -> list[dict[str, str | int]]:
    """How many cells of each data set and encoder there are, and in which state."""
    due, running = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for dataset, encoder, _, n in course.asked.due:
        due[dataset, encoder] += n
    for kind, _ in list(course.running) if course.alive else ():
        running[kind[:2]] += 1
    return [
        {
            "data set": place[0],
            "encoder": place[1],
            "cells": n,
            "done": course.ended[place]["ok"],
            "failed": course.ended[place]["failed"],
            "skipped": course.ended[place]["skipped"],
            "running": running[place],
        }
        for place, n in due.items()
    ]


def at_work(course: Course, now: float) -> list[dict[str, Any]]:
    """The cells that are, the longest first, and for how many seconds."""
    if not course.alive:
        return []
    running = sorted(course.running.copy().items(), key=lambda item: item[1])
    return [
        {"cell": cell_name(kind, seed), "seconds": round(max(0.0, now - began), 1)} for (kind, seed), began in running
    ]


def print_status(folder: Path, as_json: bool) -> None:
    """Prints how far the runs of a results folder are.

    Raises:
        BadInput: when none is known.
    """
    found = list(courses(folder))
    if as_json:
        write_json([_facts(course) for course in found])
        return
    console = console_of()
    for course in found:
        for part in _parts(course):
            console.print(part)
        for trouble in _told(course.troubles):
            console.print(Text(trouble))
        console.print(Text(_life(course)))


def _told(troubles: Sequence[Happened]) -> list[str]:
    """The latest troubles."""
    words = {"retried": "ran once more"}
    told = [f"{words.get(each.what, each.what)}: {each}: {each.reason}" for each in troubles[-SHOWN:]]
    return [f"{len(troubles) - SHOWN} earlier troubles", *told] if len(troubles) > SHOWN else told


def _life(course: Course) -> str:
    since = datetime.fromtimestamp(course.asked.began).astimezone().strftime("%Y-%m-%d %H:%M")
    left = course.due - course.done.total()
    state = "at work" if course.alive else "ended" if not left else f"stopped, {left:,} to do; the same command goes on"
    return f"{course.asked.place}, since {since}: {state}"


def _facts(course: Course) -> dict[str, Any]:
    now = time.time()
    return {
        "suite": course.asked.suite,
        "process": course.asked.place,
        "began": course.asked.began,
        "alive": course.alive,
        "cells": course.due,
        **{status: course.done[status] for status in ("ok", "failed", "skipped")},
        "had_record": course.asked.stand,
        "seconds_left": course.left(now) if course.alive else None,
        "running": at_work(course, now),
        "places": places(course),
        "troubles": [{"cell": str(each), "what": each.what, "reason": each.reason} for each in course.troubles],
    }
