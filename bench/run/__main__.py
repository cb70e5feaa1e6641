"""The process of a worker: it is told the job through a pipe, and then one thing after the other."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import warnings
from multiprocessing.connection import Connection
from typing import Any

from bench.errors import BadInput, Mended
from bench.run.worker import Worker
from methods import UnknownName

LOOK = 0.2  # seconds between two looks at whether the parent lives


def _main(messages: Connection, parent: int) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    faulthandler.enable(2)
    _tell_what_is_mended(messages)
    job, worker = messages.recv(), None
    while True:
        ask, argument = messages.recv()
        try:
            worker = worker or Worker(job, lambda *told: messages.send(("encoding", told)), alone=True)
            messages.send(("answer", getattr(worker, ask)(argument)))
        except (BadInput, UnknownName) as problem:
            messages.send(("raised", problem))


def _tell_what_is_mended(messages: Connection) -> None:
    show = warnings.showwarning

    def shown(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        if issubclass(category, Mended):
            messages.send(("mended", str(message)))
        else:
            show(message, category, *rest, **named)

    warnings.showwarning = shown
    warnings.simplefilter("always", Mended)


def _end_with(parent: int) -> None:
    """Ends the process, and what it has started, when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    _main(Connection(int(sys.argv[1])), int(sys.argv[2]))
