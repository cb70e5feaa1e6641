"""The course of a run, written beside its records as it goes, for whoever looks from another shell."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, Self, TextIO

from filelock import FileLock, Timeout

from bench.errors import BadInput
from bench.names import RUNS
from bench.whole import writing
from bench.words import cell_name

if TYPE_CHECKING:  # they bring torch, and a look needs none
    from bench.run.plan import Planned
    from bench.run.scheduler import Event
    from bench.spec import Kind


@dataclass(frozen=True)
class Asked:
    """What a run is to do, the first line of its journal.

    Attributes:
        suite: its name.
        place: host and number of the process.
        began: seconds since the epoch.
        seats: how many cells run at once at the most.
        stand: cells that had a record.
        due: cells that are to run, as data set, encoder, method and how many.
        usual: seconds that a cell took in earlier runs, likewise, where there was one.
    """

    suite: str
    place: str
    began: float
    seats: int
    stand: int
    due: list[tuple[str, str, str, int]]
    usual: list[tuple[str, str, str, float]]


@dataclass(frozen=True)
class Happened:
    """A further line: something that happened to a cell.

    Attributes:
        at: seconds since the epoch.
        what: the cell was "begun" or "retried", or it ended as its record's status says.
        kind: data set, encoder and method.
        seed: of the cell.
        reason: why it was retried, failed or skipped.
    """

    at: float
    what: Literal["begun", "retried", "ok", "failed", "skipped"]
    kind: Kind
    seed: int
    reason: str = ""

    @classmethod
    def now(cls, event: Event) -> Self:
        """What an event of the scheduler comes to."""
        from bench.run.scheduler import Begun, Retried

        cell = event.cell
        if isinstance(event, Begun):
            return cls(time.time(), "begun", cell.kind, cell.seed)
        if isinstance(event, Retried):
            return cls(time.time(), "retried", cell.kind, cell.seed, event.reason)
        return cls(time.time(), event.record.status, cell.kind, cell.seed, event.record.reason or "")

    def __str__(self) -> str:
        return cell_name(self.kind, self.seed)


@dataclass
class Course:
    """How far a run is.

    Attributes:
        asked: what it is to do.
        alive: whether its process still is.
        running: what has begun and not ended, with when.
        ended: how many cells ended in which status, by data set and encoder.
        troubles: what was retried, failed or skipped, the latest last.
        took: seconds of the cells that were done, by kind.
    """

    asked: Asked
    alive: bool = True
    running: dict[tuple[Kind, int], float] = field(default_factory=dict)
    ended: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    troubles: list[Happened] = field(default_factory=list)
    took: dict[Kind, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, happened: Happened) -> None:
        """Takes in what has happened next."""
        key = (happened.kind, happened.seed)
        if happened.what == "begun":
            self.running[key] = happened.at
            return
        if happened.what != "ok":
            self.troubles.append(happened)
        began = self.running.pop(key, happened.at)
        if happened.what != "retried":
            self.ended[happened.kind[:2]][happened.what] += 1
            self.took[happened.kind].append(happened.at - began)

    @property
    def due(self) -> int:
        """How many cells were to run."""
        return sum(n for *_, n in self.asked.due)

    @property
    def done(self) -> Counter[str]:
        """How many cells ended in which status."""
        return sum(self.ended.values(), Counter())

    def left(self, now: float) -> float | None:
        """About the seconds to the end, by what cells of the same kind took; None when nothing of the like has run."""
        took = {(a, b, c): seconds for a, b, c, seconds in self.asked.usual}
        took |= {kind: fmean(seconds) for kind, seconds in self.took.items()}
        if not took:
            return None
        typical = fmean(took.values())
        todo = {(a, b, c): n - len(self.took.get((a, b, c), ())) for a, b, c, n in self.asked.due}
        spent = sum(min(now - began, took.get(kind, typical)) for (kind, _), began in self.running.items())
        work = sum(n * took.get(kind, typical) for kind, n in todo.items()) - spent
        return max(work, 0.0) / max(1, min(self.asked.seats, sum(todo.values())))


class Journal:
    """Writes the course of a run to `.runs/` in the results folder; a lock beside it says that the run is alive."""

    def __init__(self, folder: Path, suite: str, planned: Sequence[Planned], seats: int) -> None:
        """Removes the journals of runs that have ended, and what they have left half written.

        Raises:
            BadInput: when the results folder cannot be written to.
        """
        from bench.record import Results
        from bench.run.plan import usual_seconds

        now = time.time()
        place = f"{socket.gethostname()}-{os.getpid()}"
        self._path = folder / RUNS / f"{time.time_ns()}-{place}.jsonl"
        with writing(folder):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(_lock(self._path)).acquire()
            self._file: TextIO = self._path.open("w", encoding="utf-8")
            others = [path for path in self._path.parent.glob("*.jsonl") if path != self._path]
            for ended in [path for path in others if not _alive(path)]:
                others.remove(ended)
                ended.unlink(missing_ok=True)
                _lock(ended).unlink(missing_ok=True)
            if not others:
                Results(folder).tidy()
        due = Counter(each.cell.kind for each in planned if each.due)
        usual = [(*kind, seconds) for kind, seconds in usual_seconds(planned).items()]
        asked = Asked(
            suite, place, now, seats, len(planned) - due.total(), [(*kind, n) for kind, n in due.items()], usual
        )
        self.course = Course(asked)
        self._write(asdict(asked))

    def add(self, event: Event) -> None:
        """Writes down what has happened."""
        happened = Happened.now(event)
        self.course.add(happened)
        self._write(asdict(happened))

    def _write(self, line: Mapping[str, Any]) -> None:
        with writing(self._path):
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._lock.lock.release()
        _lock(self._path).unlink(missing_ok=True)


def courses(folder: Path) -> Iterator[Course]:
    """The runs that are at work in a results folder, and those that ended since the latest began; the latest last.

    Raises:
        BadInput: when there is none, or a journal cannot be read.
    """
    paths = sorted((folder / RUNS).glob("*.jsonl"))
    if not paths:
        n = sum(1 for _ in (folder / "records").glob("*.json"))
        raise BadInput(f"{folder}: no run is known of here, but {n} records; `tunebench report {folder}` shows them")
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be half written
            if whole:
                yield _course(whole[0], whole[1:], alive=_alive(path))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise BadInput(f"{path}: no journal, or one of another version; delete it") from None


def _course(asked: dict[str, Any], happened: Sequence[dict[str, Any]], *, alive: bool) -> Course:
    head = {**asked, **{name: list(map(tuple, asked[name])) for name in ("due", "usual")}}
    course = Course(Asked(**head), alive=alive)
    for line in happened:
        course.add(Happened(**{**line, "kind": tuple(line["kind"])}))
    return course


def _lock(journal: Path) -> Path:
    return journal.with_suffix(".lock")


def _alive(journal: Path) -> bool:
    """Whether the run is, whose journal it is."""
    if not _lock(journal).exists():
        return False
    try:
        with FileLock(_lock(journal), timeout=0):
            return False
    except Timeout:
        return True
