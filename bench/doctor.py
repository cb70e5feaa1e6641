"""Whether an installation can do its work."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import metadata

import torch

from bench.cache import cache_folder
from bench.embed.encoders import open_encoder
from bench.errors import BadInput
from bench.track import wandb_state

PACKAGES = ("torch", "sentence-transformers", "transformers", "numpy", "pandas", "pytrec-eval-terrier")


def examine() -> list[dict[str, str]]:
    """A row a check: what, its state (`ok`, `absent` for what is optional, `broken`), and what was found."""
    checks: dict[str, Callable[[], tuple[str, str]]] = {
        **{package: partial(_package, package) for package in PACKAGES},
        "processor": lambda: ("ok", f"{torch.get_num_threads()} threads"),
        "gpu": _gpu,
        "minilm": _minilm,
        "cache": _cache,
        "wandb": wandb_state,
    }
    return [dict(zip(("check", "state", "found"), (name, *check()), strict=True)) for name, check in checks.items()]


def _package(name: str) -> tuple[str, str]:
    try:
        return "ok", metadata.version(name)
    except metadata.PackageNotFoundError:
        return "broken", f"not installed; pip install {name}"


def _gpu() -> tuple[str, str]:
    if not torch.cuda.is_available():
        return "absent", f"torch {torch.__version__} sees none; everything runs on the processor"
    return "ok", ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))


def _minilm() -> tuple[str, str]:
    try:
        return "ok", f"all-MiniLM-L6-v2, weights {open_encoder('minilm').revision}…, as the original's"
    except BadInput as error:
        return "absent", str(error)


def _cache() -> tuple[str, str]:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free / 2**30
    except OSError as error:
        return "broken", f"{folder}: cannot be written ({error.strerror}); set TUNEBENCH_CACHE to a folder that can"
    return "ok", f"{folder}, {free:.0f} GiB free"
