"""What a cell ran on, as far as its result or its time could depend on it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path


@cache
def environment() -> dict[str, str | int]:
    """Versions, the commit, the processor; the device and its threads are part of a record's identity already."""
    packages = ("torch", "numpy", "optuna", "sentence-transformers", "transformers", "pytrec-eval-terrier")
    return {
        "tunebench": metadata.version("tunebench"),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        **{package: metadata.version(package) for package in packages},
    }


def _commit() -> str:
    """The commit of the checkout that runs, marked when files differ from it; empty for an installed package."""
    here = Path(__file__).parents[1]
    if not (here / ".git").exists():
        return ""
    asked = subprocess.run(
        ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip()


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
