"""What opens data sets and encoders and runs cells, in whatever process an executor has it."""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from bench.device import open_device
from bench.embed.store import Cost
from bench.errors import BadInput
from bench.mteb_result import write_task_result
from bench.record import Record, Results
from bench.redact import redacted
from bench.run.cell import Done, failed, run_cell
from bench.run.estimate import Foresight, foresee
from bench.run.plan import Overwrite, Planned, checked, plan, standing
from bench.run.workbench import Progress, Workbench
from bench.spec import Cell


@dataclass(frozen=True)
class Job:
    """What holds for all cells of a run.

    Attributes:
        folder: of the results.
        device: to compute on.
        overwrite: which cells run again although they have a record.
        keep: whether what the methods learn is kept.
        timeout: seconds that a cell has, or None.
        trust_remote_code: whether encoders may run the Python code that comes with them.
    """

    folder: Path
    device: str = "cpu"
    overwrite: Overwrite = "failed"
    keep: bool = False
    timeout: float | None = None
    trust_remote_code: bool = False


Costs = dict[str, Cost]  # by the name of an encoder that somebody charges for


class Worker:
    """Carries out one thing after the other, and keeps open what the next may need."""

    def __init__(self, job: Job, progress: Progress, *, alone: bool) -> None:
        """`alone` in its process, it writes what a cell prints into a log, and ends the process after the timeout."""
        self._job, self._alone = job, alone
        self._results = Results(job.folder)
        self._bench = Workbench(open_device(job.device), progress, trust_remote_code=job.trust_remote_code)

    def plan(self, cells: Sequence[Cell]) -> tuple[list[Planned], Costs]:
        """Finds out what is to be done with the cells, and about what that costs where encoders are charged for."""
        planned = plan(cells, self._bench, self._results, self._job.overwrite, keep=self._job.keep)
        costs = self._bench.costs(each.cell for each in planned if each.due and not each.problem)
        return checked(planned, costs), {encoder.name: cost for encoder, cost in costs.items()}

    def refuse(self, asked: tuple[Sequence[Cell], str]) -> tuple[list[Planned], Costs]:
        """The cells with a problem, for the process that was to plan them has died; and why it did."""
        cells, reason = asked
        problem = BadInput(f"{cells[0].dataset}, {cells[0].encoder}: cannot be opened; {reason}")
        return [Planned(cell, self._bench.asked(cell), problem=problem) for cell in cells], {}

    def foresee(self, cells: Sequence[Cell]) -> tuple[Foresight, Costs]:
        """Says what a run would do with the cells, and about what that would cost."""
        foresight = foresee(cells, self._bench, self._results, self._job.overwrite, keep=self._job.keep)
        costs = self._bench.costs(cell for cell, state in foresight[0] if state == "would run")
        return foresight, {encoder.name: cost for encoder, cost in costs.items()}

    def run(self, planned: Planned) -> Record:
        """Runs a cell and writes its record (and what mteb reads), unless another run has done so meanwhile.

        What its method has learnt is written if it is to be kept, and otherwise no longer there.

        Raises:
            BadInput: when nothing can be written.
        """
        job, results, identity = self._job, self._results, planned.identity
        with results.claimed(identity):
            record = None if planned.problem else standing(identity, results, job.overwrite, keep=job.keep)
            if record is not None:
                return record
            with self._logged(results.log(identity)), self._timed(planned.seconds or job.timeout):
                done = self._run(planned)
            write_task_result(job.folder, done.record)
            results.write(*done)
        return done.record

    def _run(self, planned: Planned) -> Done:
        identity = planned.identity
        if planned.problem:
            return Done(failed(planned.cell, identity, str(planned.problem)))
        rmtree(artefact := self._results.artefact(identity), ignore_errors=True)
        scratch = self._results.scratch(identity)
        return run_cell(planned.cell, identity, self._bench, scratch, artefact if self._job.keep else None)

    def _logged(self, path: Path) -> AbstractContextManager[None]:
        return logged(path) if self._alone else nullcontext()

    @contextmanager
    def _timed(self, timeout: float | None) -> Iterator[None]:
        """Says on standard error where the process is when the time is over, and ends it, whatever it is doing."""
        if not self._alone or timeout is None:
            yield
            return
        faulthandler.dump_traceback_later(timeout, exit=True, file=2)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Has whatever the process prints go to a file, that of other languages and of its death included.

    Secrets are blacked out in the end, and a file with nothing in it is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    with path.open("wb") as file:
        for stream in kept:
            os.dup2(file.fileno(), stream)
    try:
        faulthandler.enable(2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, duplicate in kept.items():
            os.dup2(duplicate, stream)
            os.close(duplicate)
        close_log(path)


def close_log(path: Path) -> str:
    """Blacks out the secrets in a log and returns it; removes it when it is empty."""
    try:
        said = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    clean = redacted(said)
    if not said:
        path.unlink()
    elif clean != said:
        path.write_text(clean, encoding="utf-8")
    return clean
