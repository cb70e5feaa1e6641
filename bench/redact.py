"""What must not be told: keys and passwords, wherever a text may have picked them up."""

from __future__ import annotations

import os
import re

SECRET = re.compile(r"(?i)key|token|secret|password|passwd|credential")  # in the name of a variable
SHORTEST = 8  # characters of a secret; a shorter value may be a word of any text
SHAPES = re.compile(
    r"""(?x)
    (?<![A-Za-z0-9]) (?: sk-[\w-]{16,} | hf_\w{16,} | gh[pousr]_\w{16,} | AKIA[0-9A-Z]{16} )  # of well-known hosts
    | (?<=://) [^\s/:@]+ : [^\s/@]+ (?=@)                    # user and password in an address
    | (?i:(?<=bearer\s)) [\w.~+/-]{8,} =*
    """
)
BLACK = "[redacted]"


def redacted(text: str) -> str:
    """The text without the values of environment variables that hold secrets, nor anything that looks like a key."""
    values = {value for name, value in os.environ.items() if SECRET.search(name) and len(value) >= SHORTEST}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, BLACK)
    return SHAPES.sub(BLACK, text)
