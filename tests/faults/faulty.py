"""Methods that do what happens to processes at their worst. Installed as another package would be, see conftest.py."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from methods import Method, Problem, VectorTuned


@dataclass(frozen=True)
class Dies(Method):
    """Ends its process by a signal: always, or the first time only, of which a file is the sign."""

    name: ClassVar[str] = "dies"
    of: str = "SIGKILL"
    once: str = ""

    def fit(self, problem: Problem) -> VectorTuned:
        if not self.once or not Path(self.once).exists():
            if self.once:
                Path(self.once).touch()
            print("its last words", flush=True)  # noqa: T201
            os.kill(os.getpid(), getattr(signal, self.of))
        return VectorTuned(problem.corpus)


@dataclass(frozen=True)
class Hangs(Method):
    """Sleeps; like much native code, it lets no other thread of Python run meanwhile."""

    name: ClassVar[str] = "hangs"
    seconds: int = 3600
    stiff: bool = False

    def fit(self, problem: Problem) -> VectorTuned:
        if self.stiff:
            ctypes.PyDLL(None).sleep(self.seconds)
        else:
            time.sleep(self.seconds)
        return VectorTuned(problem.corpus)


@dataclass(frozen=True)
class Eats(Method):
    """Fills memory, and gives it back."""

    name: ClassVar[str] = "eats"
    megabytes: int = 400

    def fit(self, problem: Problem) -> VectorTuned:
        assert torch.ones(self.megabytes, 2**18).sum() > 0
        return VectorTuned(problem.corpus)


@dataclass(frozen=True)
class Blabs(Method):
    """Fails, and says what it should keep to itself."""

    name: ClassVar[str] = "blabs"

    def fit(self, problem: Problem) -> VectorTuned:
        problem.meter.note(f"a note with {os.environ['SOME_API_KEY']}")
        print("printed", os.environ["SOME_API_KEY"])  # noqa: T201
        raise RuntimeError(f"refused: {os.environ['SOME_API_KEY']}")
