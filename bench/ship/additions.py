"""Documents and judged queries that an artefact is given after it was fitted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.items import read_documents
from bench.data.judged_lines import JudgedQueries, read_judged
from bench.embed.store import IdentifiedEncoder, Store
from bench.errors import BadInput
from bench.run.workbench import tie_order
from methods import Corpus, Csr, Item, Judged, Problem

DOCUMENTS, QUERIES = "documents.jsonl", "queries.jsonl"


@dataclass(frozen=True)
class Additions:
    """What was added, if anything.

    Attributes:
        documents: a file as `corpus.jsonl`.
        queries: a file as `queries.jsonl`, each line with `relevant` besides.
    """

    documents: Path | None = None
    queries: Path | None = None

    @classmethod
    def of(cls, folder: Path) -> Additions:
        """Those that an artefact that stands by itself holds."""
        paths = (folder / DOCUMENTS, folder / QUERIES)
        return cls(*(path if path.exists() else None for path in paths))

    def write(self, folder: Path, before: Additions) -> None:
        """Writes them into an artefact, after those that it was given before; pictures stay where they are."""
        for name, files in (
            (DOCUMENTS, (before.documents, self.documents)),
            (QUERIES, (before.queries, self.queries)),
        ):
            lines = [line for file in files if file for line in _lines(file)]
            if lines:
                (folder / name).write_text("".join(lines), encoding="utf-8")


UNCHANGED = Additions()


@dataclass(frozen=True)
class Known:
    """What an artefact can be asked about.

    Attributes:
        document_ids: of the rows of its corpus.
        documents: those of the first rows; what was added is not among them.
        learnt: the queries that it was fitted on or chosen by, by id.
    """

    document_ids: Sequence[str]
    documents: Sequence[Item]
    learnt: Mapping[str, Item]

    @property
    def row_of(self) -> dict[str, int]:
        """Document id to row."""
        return {key: row for row, key in enumerate(self.document_ids)}


def grown(
    known: Known, problem: Problem, added: Additions, encoder: IdentifiedEncoder, store: Store
) -> tuple[Known, Problem]:
    """The problem with the documents after its own, and the queries after its train queries.

    Raises:
        BadInput: for lines that are not what they should be, an id that is taken, or an unknown document.
    """
    ids, corpus, train = list(known.document_ids), problem.corpus, problem.train
    if added.documents:
        documents = read_documents(added.documents, hashlib.sha256())
        _check_new(added.documents, documents.row_of, set(ids))
        ids += documents.row_of
        shards = store.embed(encoder, documents.items, "document", normalise=True, progress=_untold).shards
        # Nothing that goes on from what was chosen reads the documents themselves.
        corpus = Corpus((), (*corpus.shards, *shards), tie_order(ids))
    now = replace(known, document_ids=ids)
    if added.queries:
        queries = read_judged(added.queries, now.row_of)
        _check_new(added.queries, queries.items, known.learnt)
        now = replace(now, learnt={**known.learnt, **queries.items})
        train = train.joined(judged(queries, now.row_of, encoder, store))
    return now, replace(problem, corpus=corpus, train=train)


def judged(queries: JudgedQueries, row_of: Mapping[str, int], encoder: IdentifiedEncoder, store: Store) -> Judged:
    """The queries as they are learnt from, or scored; none retrieves the document that bears its own id."""
    items = list(queries.items.values())
    vectors = store.embed(encoder, items, "query", normalise=False, progress=_untold).in_memory()
    exclude = Csr.from_rows([row_of[key]] if key in row_of else [] for key in queries.items)
    return Judged(items, vectors, exclude, relevant=Csr.from_rows(queries.relevant.values()))


def _check_new(path: Path, ids: Mapping[str, object], taken: Mapping[str, object] | set[str]) -> None:
    for key in ids:
        if key in taken:
            raise BadInput(f"{path}: id {key!r} is taken already; leave it out, or give it an id of its own")


def _untold(done: int) -> None:
    """Progress that nobody is told of."""


def _lines(path: Path) -> list[str]:
    lines = []
    for line in filter(str.strip, path.read_text(encoding="utf-8-sig").splitlines()):
        row = json.loads(line)
        if "image" in row:
            row["image"] = str((path.parent / row["image"]).resolve())
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return lines
