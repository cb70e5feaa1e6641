"""The judgements of a BEIR folder, `qrels/*.tsv`, checked against its documents and queries as they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.faults import Faults
from bench.data.items import numbered_lines
from bench.errors import BadInput

SPLITS = ("train", "dev", "test")
HEADER = "query-id\tcorpus-id\tscore"


@dataclass(frozen=True)
class Qrels:
    """What queries are judged on.

    Attributes:
        judged: query id to {document row: grade}.
        split_of: query id to the name of the file in which it is judged.
        official: whether there is a train and a test split.
    """

    official: bool
    judged: dict[str, dict[int, float]] = field(default_factory=dict)
    split_of: dict[str, str] = field(default_factory=dict)

    @property
    def relevant(self) -> dict[str, dict[int, float]]:
        """The judgements above 0 of each query that has any."""
        positive = {key: {row: grade for row, grade in own.items() if grade > 0} for key, own in self.judged.items()}
        return {key: own for key, own in positive.items() if own}


def read_qrels(
    folder: Path,
    row_of: Mapping[str, int],
    queries: Container[str],
    digest: hashlib._Hash,
    corpus: str = "corpus.jsonl",
) -> Qrels:
    """Reads a folder `qrels`.

    With `train.tsv` and `test.tsv` the split is official; all other files are then left alone, but for `dev.tsv`.

    Args:
        folder: the folder `qrels`.
        row_of: document id to row.
        queries: the ids of the queries.
        digest: is fed all bytes that are read.
        corpus: where the documents are, for whoever has judged another.

    Raises:
        BadInput: when there is no file, or lines are not what they should be.
    """
    found = sorted(folder.glob("*.tsv"))
    if not found:
        raise BadInput(f"{folder}: holds no .tsv file; write the judgements to qrels/test.tsv")
    qrels = Qrels({"train", "test"} <= {path.stem for path in found})
    for path in found:
        if path.stem in SPLITS or not qrels.official:
            _read_file(path, qrels, row_of, queries, digest, corpus)
    return qrels


def _read_file(
    path: Path,
    qrels: Qrels,
    row_of: Mapping[str, int],
    queries: Container[str],
    digest: hashlib._Hash,
    corpus: str,
) -> None:
    faults = Faults(path)
    for number, query, document, grade in _judgements(path, digest, faults):
        if query not in queries:
            faults.add("query", number, f"query {query!r} is not in queries.jsonl; add it there or delete the line")
        elif document not in row_of:
            problem = f"document {document!r} is not in {corpus}"
            faults.add("document", number, f"{problem}; add it there or delete the line")
        elif qrels.split_of.setdefault(query, path.stem) != path.stem:
            problem = f"query {query!r} is judged in {qrels.split_of[query]}.tsv too"
            faults.add("split", number, f"{problem}; keep it in one of them")
        elif query == document and grade > 0:
            problem = f"query {query!r} is judged on the document of its own id, which counts as itself"
            faults.add("itself", number, f"{problem} and is never retrieved; give the queries ids of their own")
        else:
            qrels.judged.setdefault(query, {})[row_of[document]] = float(grade)
    faults.check()


def _judgements(path: Path, digest: hashlib._Hash, faults: Faults) -> Iterator[tuple[int, str, str, int]]:
    """Yields (line number, query id, document id, grade) for each line after the header that is in order."""
    header = None
    for number, _, _, line in numbered_lines(path, (digest,), faults):
        if header is None:
            header = line
            if line != HEADER:
                problem = f"the header is {line!r}; it must be query-id, corpus-id, score, separated by tabs"
                raise BadInput(f"{path}, line {number}: {problem}")
            continue
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != 3:
            problem = f"{len(cells)} columns instead of 3"
            faults.add("columns", number, f"{problem}; separate query-id, corpus-id and score by tabs")
            continue
        try:
            grade = int(cells[2])
        except ValueError:
            problem = f"score {cells[2]!r} is not an integer"
            faults.add("score", number, f"{problem}; write 1 for relevant or 0 for not")
        else:
            yield number, cells[0], cells[1], grade
