"""BEIR folders, the one form in which data enters: `corpus.jsonl`, `queries.jsonl`, `qrels/*.tsv`.

Reading checks everything that a person can get wrong and names the file, the lines and the remedy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Content, Dataset, Extraction
from bench.data.items import read_documents, read_queries
from bench.data.qrels import HEADER, SPLITS, read_qrels
from bench.errors import BadInput
from methods import Csr

FEWEST_QUERIES = 10  # with fewer, a tenth of them is no dev split


def read_folder(folder: Path) -> Dataset:
    """Reads and checks a BEIR folder.

    An item is a text, for a document its title and its text, joined by a space, or a picture: `image` is the path of
    its file, from the folder. A query that has no positive judgement is left out. A query never retrieves the
    document that bears its own id, as in beir's evaluation. Queries with one `metadata.group` are near-copies of one
    another. The split is official when `qrels/train.tsv` and `qrels/test.tsv` both exist; all other files in `qrels/`
    are then left alone, but for `dev.tsv`.

    Raises:
        BadInput: for a file that is missing, is not UTF-8, or is not what it should be.
    """
    digest = hashlib.sha256()
    documents = read_documents(folder / "corpus.jsonl", digest)
    queries = read_queries(folder / "queries.jsonl", digest)
    qrels = read_qrels(folder / "qrels", documents.row_of, queries, digest)
    if (folder / "source.json").exists():
        digest.update((folder / "source.json").read_bytes())
    relevant = qrels.relevant
    query_ids = [key for key in queries if key in relevant]
    _check_count(folder, len(query_ids))
    own_row = [documents.row_of.get(key) for key in query_ids]
    return Dataset(
        name=f"folder:{folder}",
        fingerprint=digest.hexdigest(),
        document_ids=list(documents.row_of),
        documents=documents.items,
        query_ids=query_ids,
        queries=[queries[key].item for key in query_ids],
        qrels=Csr.from_rows(relevant[key] for key in query_ids),
        exclude=Csr.from_rows([] if row is None else [row] for row in own_row),
        groups=_groups([queries[key].group for key in query_ids]),
        official=_splits([qrels.split_of[key] for key in query_ids]) if qrels.official else {},
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


def _check_count(folder: Path, judged: int) -> None:
    if judged == 0:
        raise BadInput(f"{folder / 'qrels'}: no query has a judgement with a positive score; add judgements")
    if judged < FEWEST_QUERIES:
        raise BadInput(
            f"{folder / 'qrels'}: only {judged} judged queries; train, dev and test need {FEWEST_QUERIES} or more"
        )


def _splits(names: list[str]) -> dict[str, NDArray[np.int64]]:
    return {split: np.flatnonzero(np.array(names) == split) for split in SPLITS}


def _groups(names: list[str]) -> NDArray[np.int64]:
    number: dict[str, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)


def _write_lines(path: Path, rows: Iterator[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
