"""Where extracted data and embeddings are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """`TUNEBENCH_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("TUNEBENCH_CACHE") or platformdirs.user_cache_path("tunebench"))
