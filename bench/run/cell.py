"""One cell: from data to its record."""

from __future__ import annotations

import random
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch

from bench.changes import Changes
from bench.clock import Clock
from bench.device import determined
from bench.environment import environment
from bench.errors import BadInput
from bench.names import BUCKETS, METRICS
from bench.overlap import Overlap
from bench.record import Record, Scores
from bench.redact import redacted
from bench.run.changes import Answered, find_changes
from bench.run.workbench import Workbench
from bench.score import DEPTH, score
from bench.spec import Cell
from bench.whole import make_whole
from methods import Problem, ProblemError, Unsuited, fit, parse


class Done(NamedTuple):
    """What has become of a cell, as it is written: the latter two only of one that is `ok`."""

    record: Record
    per_query: pd.DataFrame | None = None
    changes: Changes | None = None


def run_cell(
    cell: Cell, identity: dict[str, Any], bench: Workbench, scratch: Path | None = None, artefact: Path | None = None
) -> Done:
    """Runs one cell; whatever goes wrong in it becomes a failed record with the reason.

    A method that is not for such a problem makes it a skipped one. What the method leaves in `scratch`, later cells of
    the same data set, encoder and seed go on from. What it has learnt is written to `artefact`, whole or not at all.
    """
    clock = Clock(bench.device)
    try:
        with determined(bench.device, clock.note):
            measured, per_query, changes = _measure(cell, identity, bench, clock, scratch, artefact)
    except Unsuited as error:
        return Done(_record(cell, identity, clock, "skipped", reason=_reason(error)))
    except Exception as error:  # noqa: BLE001 — a cell's failure must not stop its neighbours
        if not isinstance(error, BadInput | ProblemError):
            traceback.print_exc()
        return Done(_record(cell, identity, clock, "failed", reason=_reason(error)))
    return Done(_record(cell, identity, clock, "ok", **measured), per_query, changes)


def failed(cell: Cell, identity: dict[str, Any], reason: str) -> Record:
    """The record of a cell that could not run, or not to its end."""
    return Record(**_named(cell, identity), status="failed", reason=redacted(reason))


def _measure(
    cell: Cell,
    identity: dict[str, Any],
    bench: Workbench,
    clock: Clock,
    scratch: Path | None,
    artefact: Path | None,
) -> tuple[dict[str, Any], pd.DataFrame, Changes | None]:
    loaded = bench.load(cell.dataset, cell.limit)
    dataset = loaded.dataset
    split = bench.split(cell.dataset, cell.limit, identity["split"], cell.seed)
    corpus, document_seconds = bench.corpus(cell)
    vectors, query_seconds = bench.query_vectors(cell)
    clock.seconds |= {"load": loaded.seconds, "encode": document_seconds + query_seconds}
    train, dev, test = (dataset.judged(rows, vectors) for rows in (split.train, split.dev, split.test))
    encoder = bench.encoder(cell.encoder)
    problem = Problem(corpus, train, dev, encoder, device=bench.device, seed=cell.seed, meter=clock, scratch=scratch)
    shared = replace(cell, method="none", split=identity["split"])  # by all cells of the split
    seed_everything(cell.seed)
    tuned = fit(parse(cell.method), problem)
    with clock.phase("search"):
        ranking = tuned.search(test, DEPTH)
    with clock.phase("score"):
        scores = score(ranking, test.relevant)
        told, about = bench.told(shared)
        per_query = pd.concat([about, scores], axis=1)
    clock.counts |= {"documents": corpus.n, **{f"{name}_queries": len(rows) for name, rows in vars(split).items()}}
    changes = find_changes(dataset, split, bench.untuned(shared), Answered.scored(ranking, scores), tuned)
    if artefact:
        make_whole(artefact, tuned.save)
    return {"metrics": _means(scores, told), "chosen": dict(tuned.chosen)}, per_query, changes


def _means(scores: pd.DataFrame, told: Overlap) -> dict[str, Any]:
    """Means over all test queries, over the seen and the unseen ones, and by the nearest train query."""
    buckets = np.array(told.buckets, dtype=object)
    return {
        **{name: float(scores[name].mean()) for name in METRICS},
        "seen": _subset(scores[told.seen]),
        "unseen": _subset(scores[~told.seen]),
        "nearest": {bucket: _subset(scores[buckets == bucket]) for bucket in BUCKETS},
    }


def _subset(scores: pd.DataFrame) -> Scores:
    means = {name: float(scores[name].mean()) for name in METRICS} if len(scores) else {}
    return {"queries": len(scores), **means}


def _record(
    cell: Cell,
    identity: dict[str, Any],
    clock: Clock,
    status: Literal["ok", "failed", "skipped"],
    **found: Any,
) -> Record:
    seconds = {name: round(value, 4) for name, value in clock.seconds.items()}
    return Record(
        **_named(cell, identity),
        status=status,
        seconds=seconds,
        fit_seconds=round(clock.seconds["fit"] + clock.seconds.get("reencode", 0.0), 4) if status == "ok" else None,
        counts=clock.counts,
        memory=clock.memory(),
        curves=clock.curves,
        notes=list(map(redacted, clock.notes)),
        **found,
    )


def _named(cell: Cell, identity: dict[str, Any]) -> dict[str, Any]:
    named = {"dataset": cell.dataset, "encoder": cell.encoder, "method": cell.method, "seed": cell.seed}
    return {**named, "environment": environment(), "identity": identity}


def _reason(error: Exception) -> str:
    """One line; for an error that is not about the input, with the place in the code that raised it."""
    text = redacted(" ".join(str(error).split()))
    if isinstance(error, BadInput | ProblemError):
        return text
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(place.filename).name}, line {place.lineno})"


def seed_everything(seed: int) -> None:
    """Seeds the global generators, which methods of others may use."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 — methods of others may still use the global generator
    torch.manual_seed(seed)
