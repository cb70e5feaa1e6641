"""The one error that is the user's to mend, and the one warning that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class BadInput(Exception):
    """Input that cannot be used. Its text is one line that names the file, the line in it and the remedy."""


class Mended(UserWarning):
    """Of our own files one was damaged, and is made anew."""


def first_fault(error: ValidationError) -> str:
    """Where a file is not what it should be, and why."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


def one_line(error: Exception) -> str:
    """What an error of another package says, short enough to stand in a line of ours."""
    return " ".join(str(error).split())[:200]
