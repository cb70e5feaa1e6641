"""Files on a server: fetched once, checked, and gone on with when a download was interrupted."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
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
class Download:
    """A file on a server.

    Attributes:
        url: of the file.
        md5: of the file, as its maker gives it; empty where nobody does.
    """

    url: str
    md5: str = ""

    def fetched(self, name: str) -> Path:
        """The file in the cache, where a person may have put it; `name` is the data set's, for errors.

        Raises:
            BadInput: when it cannot be fetched, or is not the one that it should be.
        """
        path = cache_folder() / "downloads" / PurePosixPath(self.url).name
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                self._download(name, path)
            elif not self._is(path):
                raise BadInput(f"{path}: has MD5 {_md5(path)} instead of {self.md5}; delete the file")
        return path

    def _is(self, path: Path) -> bool:
        return not self.md5 or _md5(path) == self.md5

    def _download(self, name: str, path: Path) -> None:
        """Goes on with what an interrupted download has left."""
        elsewhere = f"fetch {self.url} elsewhere and put it at {path}"
        if os.environ.get("HF_HUB_OFFLINE", "") not in {"", "0"}:
            raise BadInput(f"{name}: not in the cache, and HF_HUB_OFFLINE is set; {elsewhere}")
        part = path.with_name(f"{path.name}.part")
        if not self.md5 or _md5(part) != self.md5:
            try:
                self._receive(part)
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                raise BadInput(f"{name}: cannot fetch it ({error}); try again, or {elsewhere}") from None
        if not self._is(part):
            md5 = _md5(part)
            part.unlink()
            raise BadInput(f"{name}: what came from {self.url} has MD5 {md5} instead of {self.md5}; {elsewhere}")
        part.rename(path)

    def _receive(self, part: Path) -> None:
        """Raises ConnectionError when the server ends before it has sent what it announced."""
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310 — a URL of the catalogue
        try:
            answer = urllib.request.urlopen(request, timeout=PATIENCE)  # noqa: S310 — a URL of the catalogue
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # there is nothing beyond what an interrupted run has left
            raise
        with answer:
            goes_on = answer.status == HTTPStatus.PARTIAL_CONTENT
            due = int(answer.headers.get("Content-Length", 0))
            console = Console(stderr=True)
            shown = wrap_file(
                answer, due, description=part.stem, console=console, disable=not console.is_terminal, transient=True
            )
            with shown as bytes_, part.open("ab" if goes_on else "wb") as file:
                while chunk := bytes_.read(CHUNK):
                    file.write(chunk)
                    due -= len(chunk)
        if due > 0:
            raise ConnectionError(f"{due:,} bytes are missing")


def _md5(path: Path) -> str:
    """Of a file, or nothing when there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
