"""Folders that are made once and kept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.cache import cache_folder


def cached_folder(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of this name in the cache, made first when there is none: whole, or not at all."""
    folder = cache_folder() / "data" / name
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{name}-"))
        try:
            make(unfinished)
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():  # Another run may have finished it meanwhile; then theirs is as good.
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder
