"""New documents and judgements for an artefact, by touching only what they change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.clock import Clock
from bench.errors import BadInput
from bench.ship.additions import Additions, grown
from bench.ship.artefact import RECORD, TUNED, Artefact
from bench.whole import check_new, make_whole
from methods import Method, ProblemError, Tuned, label


@dataclass(frozen=True)
class Updated:
    """What an update did, in numbers; all documents and train queries are those that there are now."""

    added_documents: int
    added_queries: int
    touched_documents: int
    documents: int
    train_queries: int


def update(artefact: Artefact, added: Additions, out: Path) -> Updated:
    """Writes a new artefact that has learnt from what was added, with the hyperparameters as they were chosen.

    It is a folder that stands by itself, to be exported, checked and updated in its turn.

    Raises:
        BadInput: when the method can only be fitted anew, for what cannot be added, or when `out` exists.
    """
    method = artefact.method
    if type(method).update is Method.update:
        raise BadInput(f"{label(method)} learns from all data anew; add to the data, and `tunebench run` it")
    check_new(out)
    known, problem = grown(artefact.known, artefact.problem, added, artefact.encoder, artefact.store)
    clock = Clock(problem.device)
    try:
        tuned = method.update(replace(problem, meter=clock), artefact.tuned)
    except ProblemError as error:
        raise BadInput(str(error)) from None
    make_whole(out, partial(_write, artefact, added, tuned))
    return Updated(
        added_documents=len(known.document_ids) - len(artefact.known.document_ids),
        added_queries=len(known.learnt) - len(artefact.known.learnt),
        touched_documents=clock.counts.get("touched_documents", 0),
        documents=problem.corpus.n,
        train_queries=len(problem.train),
    )


def _write(artefact: Artefact, added: Additions, tuned: Tuned, folder: Path) -> None:
    (folder / RECORD).write_text(artefact.named.record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    added.write(folder, artefact.named.additions)
    tuned.save(folder / TUNED)
