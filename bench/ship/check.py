"""Whether an artefact is still better than the encoder alone, on queries that it has not seen."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa

from bench.data.items import read_documents, read_queries
from bench.data.judged_lines import JudgedQueries
from bench.data.qrels import read_qrels
from bench.errors import BadInput
from bench.names import MAIN
from bench.overlap import clusters
from bench.report.difference import Difference, corrected, measure
from bench.score import DEPTH, score
from bench.ship.additions import Known, judged
from bench.ship.artefact import Artefact
from methods import top_k


def check(artefact: Artefact, folder: Path) -> Difference:
    """Compares the artefact with the encoder's own vectors on all judged queries of a BEIR folder.

    Its `corpus.jsonl` may be left out; where it is there, it must hold no other documents than the artefact's.

    Raises:
        BadInput: for a folder that is not in order, other documents, or a query that the artefact has learnt from.
    """
    known, problem = artefact.known, artefact.problem
    queries = _held_out(folder, known)
    test = judged(queries, known.row_of, artefact.encoder, artefact.store)
    found = (
        artefact.tuned.search(test, DEPTH),
        top_k(test.vectors, problem.corpus, DEPTH, exclude=test.exclude, device=problem.device),
    )
    first, second = (score(ranking, test.relevant)[MAIN].to_numpy() for ranking in found)
    cluster = [str(row) for row in clusters(test.relevant, problem.corpus.n).tolist()]
    columns = {"query_id": list(queries.items), "cluster": cluster, "seed": [0] * len(first)}
    pairs = pa.table({**columns, "first": first, "second": second})
    return corrected([measure(pairs, 0.0)])[0]


def _held_out(folder: Path, known: Known) -> JudgedQueries:
    if (folder / "corpus.jsonl").exists():
        _check_documents(folder / "corpus.jsonl", known)
    queries = read_queries(folder / "queries.jsonl", hashlib.sha256())
    asked = read_qrels(folder / "qrels", known.row_of, queries, hashlib.sha256(), "the artefact").relevant
    if not asked:
        raise BadInput(f"{folder / 'qrels'}: no query has a judgement with a positive score; add judgements")
    for key in asked:
        if known.learnt.get(key) == queries[key].item:
            problem = f"query {key!r} is among those that the artefact has learnt from"
            raise BadInput(f"{folder / 'queries.jsonl'}, line {queries[key].number}: {problem}; leave them out")
    return JudgedQueries({key: queries[key].item for key in asked}, asked)


def _check_documents(path: Path, known: Known) -> None:
    documents, row_of = read_documents(path, hashlib.sha256()), known.row_of
    for key, item in zip(documents.row_of, documents.items, strict=True):
        row = row_of.get(key)
        if row is None:
            raise BadInput(f"{path}: document {key!r} is not the artefact's; `tunebench update` adds documents to it")
        if row < len(known.documents) and known.documents[row] != item:
            raise BadInput(f"{path}: document {key!r} has another text in the artefact's data; is it other data?")
