"""Files and folders that are there whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def make_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Has the folder written beside its place and then moved there, unless it is there."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        write(unfinished)
        unfinished.rename(folder)
    except OSError:
        if not folder.exists():  # Another run may have finished it meanwhile; then theirs is as good.
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
