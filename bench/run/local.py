"""The local executors: workers in processes of their own on this machine, or the one in this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe, connection
from typing import Any

from bench.errors import BadInput
from bench.run.executor import Ask, Lost, Tell
from bench.run.workbench import Progress
from bench.run.worker import Job, Worker

STDERR = 2  # whatever `sys.stderr` is
LOOK = 1.0  # seconds after which it is looked whether a silent process is still there
DIED_OF = {
    "SIGKILL": "killed from outside (SIGKILL), as the system does when memory runs out",
    "SIGSEGV": "a segmentation fault (SIGSEGV) in the code of a package",
}


class InProcess:
    """One worker in this process: for a debugger, and for what is too small to be worth a process."""

    seats = 1

    def __init__(self, job: Job, progress: Progress) -> None:
        self._worker = Worker(job, progress, alone=False)
        self._asked: deque[tuple[str, Ask, Any]] = deque()

    def begin(self, key: str, ask: Ask, argument: Any) -> None:
        """See `Executor`."""
        self._asked.append((key, ask, argument))

    def answer(self) -> tuple[str, Any]:
        """See `Executor`."""
        key, ask, argument = self._asked.popleft()
        return key, getattr(self._worker, ask)(argument)

    def close(self) -> None:
        """See `Executor`."""


class Processes:
    """Workers in processes of their own, which are started when they are needed and again when they have died."""

    def __init__(self, job: Job, workers: int | None, progress: Progress, tell: Tell) -> None:
        """Of a job on "cuda" each worker has a GPU for itself.

        Args:
            job: of all workers.
            workers: how many at the most; None is one for each GPU, and one without.
            progress: is told what is being encoded, how many items more are done, and of how many.
            tell: is told what a person should know.

        Raises:
            BadInput: when there is no GPU for a job on "cuda".
        """
        self._progress, self._tell, self._job = progress, tell, job
        self._unused = _seats(job.device, workers)
        self.seats = len(self._unused)
        self._idle = [self._start()]
        self._busy: dict[str, _Process] = {}

    def begin(self, key: str, ask: Ask, argument: Any) -> None:
        """See `Executor`."""
        process = self._busy[key] = self._idle.pop() if self._idle else self._start()
        with suppress(BrokenPipeError):  # it has died meanwhile, as will be told
            process.messages.send((ask, argument))

    def answer(self) -> tuple[str, Any]:
        """See `Executor`."""
        while True:
            ready = connection.wait([process.messages for process in self._busy.values()], timeout=LOOK)
            for key, process in list(self._busy.items()):
                if process.messages not in ready and not process.ended:
                    continue
                kind, told = process.receive()
                if kind == "encoding":
                    self._progress(*told)
                elif kind == "mended":
                    self._tell(told)
                else:
                    return key, self._answered(key, kind, told)

    def _answered(self, key: str, kind: str, told: Any) -> Any:
        process = self._busy.pop(key)
        if kind == "lost":
            self._unused.append(process.variables)
            return Lost(told)
        self._idle.append(process)
        if kind == "raised":
            raise told
        return told

    def _start(self) -> _Process:
        return _Process(self._job, self._unused.pop(0))

    def close(self) -> None:
        """See `Executor`."""
        for process in (*self._busy.values(), *self._idle):
            process.kill()


def _seats(device: str, workers: int | None) -> list[Mapping[str, str]]:
    """The environment variables of each worker."""
    if device != "cuda":
        n = workers or 1
        # Together they have no more threads than there are processors; what the user has set counts.
        threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // n))} if n > 1 else {}
        return [{**threads, **os.environ} for _ in range(n)]
    import torch

    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = listed.split(",") if listed else [str(number) for number in range(torch.cuda.device_count())]
    if not gpus:
        raise BadInput("device 'cuda': there is no GPU; `tunebench doctor` shows what is there")
    return [{**os.environ, "CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus[:workers]]


class _Process:
    """A process with a worker.

    Attributes:
        variables: of its environment.
        messages: to and from the worker.
    """

    def __init__(self, job: Job, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.messages, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.run", str(theirs.fileno()), str(os.getpid())],
            env=variables,
            stdin=subprocess.DEVNULL,  # nothing can be asked there
            stdout=STDERR,  # ours is for the board
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # so that it can be ended with all that it starts, and a Ctrl-C is not its own
        )
        theirs.close()
        self.messages.send(job)

    @property
    def ended(self) -> bool:
        """Whether it has died; what it has started may still hold its end of the pipe."""
        return self._process.poll() is not None

    def receive(self) -> tuple[str, Any]:
        """The next message, or ("lost", why) when it has died."""
        try:
            if self.messages.poll():
                message: tuple[str, Any] = self.messages.recv()
                return message
        except (EOFError, ConnectionError):
            pass
        code = self._process.wait()
        self.kill()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return "lost", f"the worker died: {DIED_OF.get(name, name)}"

    def kill(self) -> None:
        """Ends the process with all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.messages.close()
