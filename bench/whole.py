"""Files and folders that are there whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EACCES, EDQUOT, EFBIG, EIO, ENOSPC, EPERM, EROFS
from pathlib import Path

from bench.errors import BadInput, Mended

UNFINISHED = ".unfinished"  # how the name of what is being written ends
UNWRITABLE = {EACCES, EDQUOT, EFBIG, EIO, ENOSPC, EPERM, EROFS}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Has it be the user's to mend when the disk is full, read-only or broken.

    Raises:
        BadInput: then.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise BadInput(f"{path}: cannot be written ({error.strerror}); mend that, and run the same again") from None


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes have left half written in a folder; only when none is writing there."""
    for left in folder.glob(f".*{UNFINISHED}"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def set_aside(path: Path, fault: str, then: str) -> None:
    """Puts a damaged file out of the way, and warns of it: what its fault is, and what happens then."""
    aside = path.with_name(f"{path.name}.damaged")
    if path.exists():
        path.replace(aside)
        fault = f"{fault}; it is set aside as {aside.name}"
    warnings.warn(f"{path}: {fault}, and {then}", Mended, stacklevel=2)


def check_new(out: Path) -> None:
    """Raises BadInput when a folder that a person wants written is there: nothing of theirs is overwritten."""
    if out.exists():
        raise BadInput(f"{out}: exists already; delete it, or pass another --out")


def make_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Has the folder written beside its place and then moved there, unless it is there.

    Raises:
        BadInput: when the disk does not take it.
    """
    if folder.exists():
        return
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-", suffix=UNFINISHED))
        try:
            write(unfinished)
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():  # Another run may have finished it meanwhile; then theirs is as good.
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Writes a file whole or not at all, with its folder.

    Raises:
        BadInput: when the disk does not take it.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
