"""BEIR folders, the one form in which data enters: `corpus.jsonl`, `queries.jsonl`, `qrels/*.tsv`.

Reading checks everything that a person can get wrong and names the file, the line and the remedy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Content, Dataset, Extraction
from bench.errors import BadInput
from methods import Csr

SPLITS = ("train", "dev", "test")
FEWEST_QUERIES = 10  # with fewer, a tenth of them is no dev split
HEADER = "query-id\tcorpus-id\tscore"


def read_folder(folder: Path, limit: int | None = None) -> Dataset:
    """Reads and checks a BEIR folder.

    A document's text is its title and its text, joined by a space; a query that has no positive judgement is left
    out. A query never retrieves the document that bears its own id, as in beir's evaluation. Queries with one
    `metadata.group` are near-copies of one another. The split is official when `qrels/train.tsv` and
    `qrels/test.tsv` both exist; all other files in `qrels/` are then left alone, but for `dev.tsv`.

    Args:
        folder: the BEIR folder.
        limit: at the most so many judged queries are kept, chosen by a hash of their ids.

    Raises:
        BadInput: for a file that is missing, is not UTF-8, or is not what it should be.
    """
    digest = hashlib.sha256()
    documents = _documents(folder / "corpus.jsonl", digest)
    queries = _queries(folder / "queries.jsonl", digest)
    document_row = {key: number for number, key in enumerate(documents)}
    split_of: dict[str, str] = {}
    judged: dict[str, dict[int, float]] = {}
    for path in _qrels_files(folder):
        for number, query, document, grade in _judgements(path, digest):
            where = f"{path}, line {number}"
            if query not in queries:
                raise BadInput(f"{where}: query {query!r} is not in queries.jsonl; add it there or delete the line")
            if document not in document_row:
                raise BadInput(
                    f"{where}: document {document!r} is not in corpus.jsonl; add it there or delete the line"
                )
            if split_of.setdefault(query, path.stem) != path.stem:
                raise BadInput(
                    f"{where}: query {query!r} is judged in {split_of[query]}.tsv too; keep it in one of them"
                )
            judged.setdefault(query, {})[document_row[document]] = float(grade)
    if (folder / "source.json").exists():
        digest.update((folder / "source.json").read_bytes())
    relevant = {query: {row: grade for row, grade in own.items() if grade > 0} for query, own in judged.items()}
    query_ids = _limited([key for key in queries if relevant.get(key)], limit)
    _check_count(folder, len(query_ids))
    official = (
        {}
        if not _is_official(folder)
        else {
            split: np.array([row for row, key in enumerate(query_ids) if split_of[key] == split], dtype=np.int64)
            for split in SPLITS
        }
    )
    return Dataset(
        name=f"folder:{folder}",
        fingerprint=digest.hexdigest(),
        document_ids=list(documents),
        documents=list(documents.values()),
        query_ids=query_ids,
        queries=[queries[key][0] for key in query_ids],
        qrels=Csr.from_rows(relevant[key] for key in query_ids),
        exclude=Csr.from_rows([document_row[key]] if key in document_row else [] for key in query_ids),
        groups=_groups([queries[key][1] for key in query_ids]),
        official=official,
    )


def write_folder(folder: Path, extraction: Extraction) -> None:
    """Writes items and judgements as a BEIR folder, with what they were taken from in `source.json`."""
    _write_lines(
        folder / "corpus.jsonl", ({"_id": key, **_written(folder, content)} for key, content in extraction.documents)
    )
    _write_lines(
        folder / "queries.jsonl",
        (
            {"_id": key, **_written(folder, content), "metadata": {"group": extraction.groups.get(key, key)}}
            for key, content in extraction.queries.items()
        ),
    )
    (folder / "qrels").mkdir()
    lines: dict[str, list[str]] = {}
    for query, row in extraction.qrels.items():
        judged = lines.setdefault(extraction.split_of.get(query, "test"), [HEADER])
        judged += [f"{query}\t{document}\t{grade}" for document, grade in row.items()]
    for split, judged in lines.items():
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(judged) + "\n", encoding="utf-8")
    (folder / "source.json").write_text(json.dumps(dict(extraction.source), indent=1, sort_keys=True) + "\n")


def _written(folder: Path, content: Content) -> dict[str, str]:
    """The column for a text; a picture gets a file of its own, named by its hash, and the column says where it is."""
    if isinstance(content, str):
        return {"text": content}
    suffix = "png" if content.startswith(b"\x89PNG") else "jpg"
    path = folder / "images" / f"{hashlib.sha256(content).hexdigest()[:32]}.{suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return {"image": str(path.relative_to(folder))}


def _lines(path: Path, digest: hashlib._Hash) -> Iterator[tuple[int, str]]:
    """Yields (line number, line without its end) of a UTF-8 file, and adds its bytes to the fingerprint."""
    if not path.is_file():
        raise BadInput(f"{path}: missing; a BEIR folder has corpus.jsonl, queries.jsonl and qrels/*.tsv")
    digest.update(f"{path.parent.name if path.suffix == '.tsv' else ''}/{path.name}\n".encode())
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            digest.update(line)
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                byte = f"{error.object[error.start]:#04x}"
                raise BadInput(f"{path}, line {number}: byte {byte} is not UTF-8; convert the file") from None


def _rows(path: Path, digest: hashlib._Hash) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields (where it stands, id, object) for each line of a JSON-lines file."""
    first_seen: dict[str, int] = {}
    for number, line in _lines(path, digest):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _object(where, line)
        key = row["_id"]
        if key in first_seen:
            raise BadInput(f"{where}: id {key!r} stands in line {first_seen[key]} already; rename or delete one")
        first_seen[key] = number
        yield where, key, row


def _object(where: str, line: str) -> dict[str, Any]:
    """Reads one line, with `title` and `metadata` filled in where they are missing."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        problem = f"not valid JSON ({error.msg} at column {error.colno})"
        raise BadInput(f"{where}: {problem}; mend or delete the line") from None
    if not isinstance(row, dict):
        raise BadInput(f"{where}: not a JSON object; every line needs _id and text")
    row["title"], row["metadata"] = row.get("title") or "", row.get("metadata") or {}
    for column in ("_id", "text", "title"):
        if not isinstance(row.get(column), str):
            raise BadInput(f"{where}: {column!r} is missing or not a string; every line needs _id and text")
    if not isinstance(row["metadata"], dict) or not isinstance(row["metadata"].get("group", ""), str):
        raise BadInput(f"{where}: metadata must be an object, and its group a string; mend it or leave it out")
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadInput(f"{where}: half of a surrogate pair, which no UTF-8 text can hold; delete it") from None
    return row


def _documents(path: Path, digest: hashlib._Hash) -> dict[str, str]:
    """Document id to text; a blank one may be retrieved, if by chance."""
    documents = {key: f"{row['title']} {row['text']}".strip() for _, key, row in _rows(path, digest)}
    if not documents:
        raise BadInput(f"{path}: holds no document; write one JSON object a line")
    return documents


def _queries(path: Path, digest: hashlib._Hash) -> dict[str, tuple[str, str]]:
    """Query id to (text, group)."""
    queries = {}
    for where, key, row in _rows(path, digest):
        if not row["text"].strip():
            raise BadInput(f"{where}: the text is empty; write one or delete the line")
        queries[key] = row["text"], row["metadata"].get("group", key)
    return queries


def _judgements(path: Path, digest: hashlib._Hash) -> Iterator[tuple[int, str, str, int]]:
    """Yields (line number, query id, document id, grade) for each line after the header."""
    header = None
    for number, line in _lines(path, digest):
        where = f"{path}, line {number}"
        if header is None:
            header = line
            if line != HEADER:
                raise BadInput(
                    f"{where}: the header is {line!r}; it must be query-id, corpus-id, score, separated by tabs"
                )
            continue
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != 3:
            raise BadInput(
                f"{where}: {len(cells)} columns instead of 3; separate query-id, corpus-id and score by tabs"
            )
        try:
            grade = int(cells[2])
        except ValueError:
            raise BadInput(
                f"{where}: score {cells[2]!r} is not an integer; write 1 for relevant or 0 for not"
            ) from None
        yield number, cells[0], cells[1], grade


def _is_official(folder: Path) -> bool:
    return all((folder / "qrels" / f"{split}.tsv").is_file() for split in ("train", "test"))


def _qrels_files(folder: Path) -> list[Path]:
    found = sorted((folder / "qrels").glob("*.tsv"))
    if not found:
        raise BadInput(f"{folder / 'qrels'}: holds no .tsv file; write the judgements to qrels/test.tsv")
    return [path for path in found if path.stem in SPLITS] if _is_official(folder) else found


def _limited(query_ids: list[str], limit: int | None) -> list[str]:
    if limit is None or limit >= len(query_ids):
        return query_ids
    chosen = set(sorted(query_ids, key=lambda key: hashlib.sha256(key.encode()).digest())[:limit])
    return [key for key in query_ids if key in chosen]


def _check_count(folder: Path, judged: int) -> None:
    if judged == 0:
        raise BadInput(f"{folder / 'qrels'}: no query has a judgement with a positive score; add judgements")
    if judged < FEWEST_QUERIES:
        raise BadInput(
            f"{folder / 'qrels'}: only {judged} judged queries; train, dev and test need {FEWEST_QUERIES} or more"
        )


def _groups(names: list[str]) -> NDArray[np.int64]:
    number: dict[str, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)


def _write_lines(path: Path, rows: Iterator[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
