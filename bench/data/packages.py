"""Data sets that installed packages carry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from bench.data._installed import installed_versions
from bench.data.dataset import Extraction
from bench.data.folder import write_folder


@dataclass(frozen=True)
class Packages:
    """Where a data set comes from: what is installed.

    Attributes:
        extract: the function in `bench.data` that takes it out of the packages, as `module.function`.
        distributions: those whose versions decide what comes out.
        revision: raised whenever the extractor's result changes.
    """

    extract: str
    distributions: tuple[str, ...]
    revision: int

    def key(self, name: str) -> str:
        """Differs when the versions do.

        Raises:
            BadInput: when a distribution is not installed.
        """
        made_from = json.dumps([self.revision, installed_versions(name, self.distributions)])
        return hashlib.sha256(made_from.encode()).hexdigest()[:16]

    def write(self, name: str, folder: Path) -> None:  # noqa: ARG002 — the function knows
        """Extracts it."""
        module, _, function = self.extract.partition(".")
        extract: Callable[[], Extraction] = getattr(import_module(f"bench.data.{module}"), function)
        write_folder(folder, extract())
