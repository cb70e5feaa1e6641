"""Data sets that lie on a server as a zip with a BEIR folder in it: fetched once, checked, then unpacked."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path, PurePosixPath

from filelock import FileLock
from rich.console import Console
from rich.progress import wrap_file

from bench.cache import cache_folder
from bench.errors import BadInput

CHUNK = 2**20  # bytes read at a time
PATIENCE = 30  # seconds without a byte after which a server counts as unreachable


@dataclass(frozen=True)
class Archive:
    """Where a data set comes from: a zip.

    Attributes:
        url: of the zip.
        md5: of the zip, as its maker gives it.
        inside: the BEIR folder in it.
    """

    url: str
    md5: str
    inside: str

    def key(self, name: str) -> str:  # noqa: ARG002 — whatever it is called
        """Differs when the zip does."""
        return self.md5[:16]

    def write(self, name: str, folder: Path) -> None:
        """Unpacks it; the zip is fetched first when it is not there.

        Raises:
            BadInput: when the zip cannot be fetched, is not the one that it should be, or holds no BEIR folder.
        """
        path = self._fetched(name)
        with zipfile.ZipFile(path) as packed:
            for member in packed.namelist():
                if ".." in PurePosixPath(member).parts or PurePosixPath(member).is_absolute():
                    raise BadInput(f"{path}: holds {member!r}, a path that leads out of it; delete the file")
            within = [m for m in packed.namelist() if m.startswith(f"{self.inside}/") and not m.endswith("/")]
            if f"{self.inside}/corpus.jsonl" not in within:
                raise BadInput(f"{path}: holds no {self.inside}/corpus.jsonl; delete the file")
            for member in within:
                target = folder / PurePosixPath(member).relative_to(self.inside)
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(member) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file, CHUNK)

    def _fetched(self, name: str) -> Path:
        """The zip in the cache, where a person may have put it."""
        path = cache_folder() / "downloads" / PurePosixPath(self.url).name
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                self._download(name, path)
            elif (md5 := _md5(path)) != self.md5:
                raise BadInput(f"{path}: has MD5 {md5} instead of {self.md5}; delete the file")
        return path

    def _download(self, name: str, path: Path) -> None:
        """Goes on with what an interrupted download has left."""
        elsewhere = f"fetch {self.url} elsewhere and put it at {path}"
        if os.environ.get("HF_HUB_OFFLINE", "") not in {"", "0"}:
            raise BadInput(f"{name}: not in the cache, and HF_HUB_OFFLINE is set; {elsewhere}")
        part = path.with_name(f"{path.name}.part")
        if _md5(part) != self.md5:
            try:
                self._receive(part)
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                raise BadInput(f"{name}: cannot fetch it ({error}); try again, or {elsewhere}") from None
        if (md5 := _md5(part)) != self.md5:
            part.unlink()
            raise BadInput(f"{name}: what came from {self.url} has MD5 {md5} instead of {self.md5}; {elsewhere}")
        part.rename(path)

    def _receive(self, part: Path) -> None:
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310 — a URL of the catalogue
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 — a URL of the catalogue
            goes_on = answer.status == HTTPStatus.PARTIAL_CONTENT
            total = int(answer.headers.get("Content-Length", 0))
            console = Console(stderr=True)
            shown = wrap_file(
                answer, total, description=part.stem, console=console, disable=not console.is_terminal, transient=True
            )
            with shown as bytes_, part.open("ab" if goes_on else "wb") as file:
                while chunk := bytes_.read(CHUNK):
                    file.write(chunk)


def _md5(path: Path) -> str:
    """Of a file, or nothing when there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
