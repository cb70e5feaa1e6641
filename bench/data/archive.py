"""Data sets that lie on a server as a zip with a BEIR folder in it."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.data.download import CHUNK, Download
from bench.errors import BadInput


@dataclass(frozen=True)
class Archive:
    """Where a data set comes from: a zip.

    Attributes:
        zip: the file.
        inside: the BEIR folder in it.
    """

    zip: Download
    inside: str

    def key(self, name: str) -> str:  # noqa: ARG002 — whatever it is called
        """Differs when the zip does."""
        return self.zip.md5[:16]

    def write(self, name: str, folder: Path) -> None:
        """Unpacks it; the zip is fetched first when it is not there.

        Raises:
            BadInput: when the zip cannot be fetched, is not the one that it should be, or holds no BEIR folder.
        """
        path = self.zip.fetched(name)
        with zipfile.ZipFile(path) as packed:
            for member in packed.namelist():
                if ".." in PurePosixPath(member).parts or PurePosixPath(member).is_absolute():
                    raise BadInput(f"{path}: holds {member!r}, a path that leads out of it; delete the file")
            within = [m for m in packed.namelist() if m.startswith(f"{self.inside}/") and not m.endswith("/")]
            if f"{self.inside}/corpus.jsonl" not in within:
                raise BadInput(f"{path}: holds no {self.inside}/corpus.jsonl; delete the file")
            for member in within:
                target = folder / PurePosixPath(member).relative_to(self.inside)
                try:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with packed.open(member) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file, CHUNK)
                except (FileExistsError, IsADirectoryError, NotADirectoryError):
                    raise BadInput(f"{path}: holds {member!r} as a file and as a folder; delete the file") from None
