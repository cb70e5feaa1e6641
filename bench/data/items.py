"""The items of a BEIR folder, `corpus.jsonl` and `queries.jsonl`: a text or a picture a line, checked as it is read."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from bench.data.faults import Faults
from bench.errors import BadInput
from methods import Item, Picture

NEEDS = "every line needs _id and text, or image"


class Lines(Sequence[Item]):
    """The documents of a `corpus.jsonl`, which stay in the file until they are asked for.

    Attributes:
        fingerprint: SHA-256 over the file and its pictures, in hex.
    """

    def __init__(
        self, path: Path, starts: Sequence[int], ends: Sequence[int], pictures: Mapping[int, Picture], fingerprint: str
    ) -> None:
        """`starts` and `ends` are the bytes of the documents' lines, `pictures` the rows that are no texts."""
        self._path = path
        self._spans = np.array([starts, ends], dtype=np.int64).T
        self._pictures = pictures
        self.fingerprint = fingerprint

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[Item]:
        yield from self._items(range(len(self)))

    @overload
    def __getitem__(self, row: int) -> Item: ...
    @overload
    def __getitem__(self, row: slice) -> list[Item]: ...
    def __getitem__(self, row: int | slice) -> Item | list[Item]:
        rows = range(len(self))[row]
        return list(self._items(rows)) if isinstance(rows, range) else next(self._items([rows]))

    def _items(self, rows: Iterable[int]) -> Iterator[Item]:
        with self._path.open("rb") as file:
            for row in rows:
                if row in self._pictures:
                    yield self._pictures[row]
                    continue
                start, end = self._spans[row].tolist()
                file.seek(start)
                document = json.loads(file.read(end - start).decode("utf-8-sig"))
                yield f"{document.get('title') or ''} {document['text']}".strip()


class Documents(NamedTuple):
    """Document id to row, and the documents."""

    row_of: dict[str, int]
    items: Lines


class Query(NamedTuple):
    """A query: its text or picture, the name of its group, and the number of its line."""

    item: Item
    group: str
    number: int


class Line(NamedTuple):
    """A line of a file: its number, the bytes from start to end, and its text without the end of the line."""

    number: int
    start: int
    end: int
    text: str


def read_documents(path: Path, digest: hashlib._Hash) -> Documents:
    """Reads a `corpus.jsonl`; a blank text may be retrieved, if by chance.

    Raises:
        BadInput: for a file that is missing or empty, or lines that are not what they should be.
    """
    own = hashlib.sha256()
    faults, row_of, pictures = Faults(path), dict[str, int](), dict[int, Picture]()
    numbers, starts, ends = array("q"), array("q"), array("q")
    for line, row in objects(path, (digest, own), faults):
        if row["_id"] in row_of:
            first = numbers[row_of[row["_id"]]]
            faults.add("id", line.number, f"id {row['_id']!r} stands in line {first} already; rename or delete one")
            continue
        if "image" in row:
            pictures[len(row_of)] = row["image"]
        row_of[row["_id"]] = len(row_of)
        numbers.append(line.number)
        starts.append(line.start)
        ends.append(line.end)
    faults.check()
    if not row_of:
        raise BadInput(f"{path}: holds no document; write one JSON object a line")
    return Documents(row_of, Lines(path, starts, ends, pictures, own.hexdigest()))


def read_queries(path: Path, digest: hashlib._Hash) -> dict[str, Query]:
    """Reads a `queries.jsonl` by id.

    Raises:
        BadInput: for a file that is missing, or lines that are not what they should be.
    """
    faults, queries = Faults(path), dict[str, Query]()
    for line, row in objects(path, (digest,), faults):
        key, item = row["_id"], row.get("image") or row["text"]
        if key in queries:
            first = queries[key].number
            faults.add("id", line.number, f"id {key!r} stands in line {first} already; rename or delete one")
        elif isinstance(item, str) and not item.strip():
            faults.add("empty", line.number, "the text is empty; write one or delete the line")
        else:
            queries[key] = Query(item, row["metadata"].get("group", key), line.number)
    faults.check()
    return queries


def numbered_lines(path: Path, digests: Sequence[hashlib._Hash], faults: Faults) -> Iterator[Line]:
    """Yields the lines of a UTF-8 file; digests are fed its bytes.

    Raises:
        BadInput: when it is missing.
    """
    if not path.is_file():
        raise BadInput(f"{path}: missing; a BEIR folder has corpus.jsonl, queries.jsonl and qrels/*.tsv")
    for digest in digests:
        digest.update(f"{path.parent.name if path.suffix == '.tsv' else ''}/{path.name}\n".encode())
    start = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            for digest in digests:
                digest.update(line)
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                byte = f"{error.object[error.start]:#04x}"
                faults.add("encoding", number, f"byte {byte} is not UTF-8; convert the file")
            else:
                yield Line(number, start, start + len(line), text)
            start += len(line)


def objects(path: Path, digests: Sequence[hashlib._Hash], faults: Faults) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yields each line that is in order with its object, whose image is a Picture."""
    for line in numbered_lines(path, digests, faults):
        if not line.text.strip():
            continue
        try:
            row = _checked(line.text)
            if "image" in row:
                row["image"] = _picture(path.parent / row["image"])
                for digest in digests:
                    digest.update(row["image"].sha256.encode())
        except _Wrong as wrong:
            faults.add(wrong.kind, line.number, str(wrong))
        else:
            yield line, row


class _Wrong(Exception):
    """A fault of a line, and its kind."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _checked(line: str) -> dict[str, Any]:
    """Reads one line, with `metadata` filled in where it is missing."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        problem = f"not valid JSON ({error.msg} at column {error.colno})"
        raise _Wrong("JSON", f"{problem}; mend or delete the line") from None
    if not isinstance(row, dict):
        raise _Wrong("object", f"not a JSON object; {NEEDS}")
    row["title"], row["metadata"] = row.get("title") or "", row.get("metadata") or {}
    for column in ("_id", "image" if "image" in row else "text", "title"):
        if not isinstance(row.get(column), str):
            raise _Wrong(column, f"{column!r} is missing or not a string; {NEEDS}")
    if "image" in row and (row["title"] or row.get("text")):
        raise _Wrong("both", "holds a text and an image; an item is one of them, so delete the other")
    if not isinstance(row["metadata"], dict) or not isinstance(row["metadata"].get("group", ""), str):
        raise _Wrong("metadata", "metadata must be an object, and its group a string; mend it or leave it out")
    if "\\u" in line:
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            problem = "half of a surrogate pair, which no UTF-8 text can hold"
            raise _Wrong("surrogate", f"{problem}; delete it") from None
    return row


def _picture(path: Path) -> Picture:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _Wrong("image", f"{path}: {error.strerror}; put the picture there or mend the line") from None
    if not content:
        raise _Wrong("image", f"{path}: holds no byte; put the picture there or delete the line")
    return Picture(path, hashlib.sha256(content).hexdigest())
