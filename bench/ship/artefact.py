"""What a method has learnt in a cell, opened with the data and the encoder that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError

from bench.device import determined
from bench.embed.store import IdentifiedEncoder, Store
from bench.errors import BadInput, first_fault
from bench.record import Record, Results
from bench.report.entrants import by_setting
from bench.run.cell import seed_everything
from bench.run.workbench import Workbench
from bench.ship.additions import UNCHANGED, Additions, Known, grown
from bench.spec import Cell
from bench.words import plural
from methods import Judged, Method, Problem, ProblemError, Tuned, UnknownName, fit, label, nearest_name, parse

RECORD, TUNED = "record.json", "tuned"  # of an artefact that stands by itself
SAME = ("fingerprint", "encoder_revision", "encoder_settings", "method_version", "hyperparameters")
SAID = {
    "fingerprint": "the data",
    "encoder_revision": "the encoder",
    "encoder_settings": "how the encoder computes",
    "method_version": "the method's version",
    "hyperparameters": "the method's hyperparameters",
}


@dataclass(frozen=True)
class Named:
    """A cell that somebody has named.

    Attributes:
        record: its record.
        kept: where what its method has learnt was kept, if it was.
        results: the folder that its record is in; None for an artefact that stands by itself.
        additions: documents and queries that such an artefact has been given since.
    """

    record: Record
    kept: Path
    results: Path | None
    additions: Additions = UNCHANGED


@dataclass(frozen=True)
class Artefact:
    """What a method has learnt, with all that it answers by.

    Attributes:
        named: the cell.
        method: that was fitted.
        known: its documents and queries, with those that were added.
        encoder: the cell's; what `tuned` holds may replace it.
        store: of embeddings.
        problem: that it was fitted on, with what was added.
        test: the cell's test queries.
        tuned: what was learnt.
        fitted_again: whether it had not been kept.
    """

    named: Named
    method: Method
    known: Known
    encoder: IdentifiedEncoder
    store: Store
    problem: Problem
    test: Judged
    tuned: Tuned
    fitted_again: bool


def find_cell(name: str) -> Named:
    """Finds a cell by its record's file, by DIR:METHOD in a results folder, or an artefact that stands by itself.

    DIR:METHOD is the cell with the smallest seed.

    Raises:
        BadInput: when there is no such cell, when there are several that differ in more than the seed, or it failed.
        UnknownName: when the results folder has no such method, with the nearest that it has.
    """
    path = Path(name)
    if (path / RECORD).is_file():
        return Named(_read(path / RECORD), path / TUNED, None, Additions.of(path))
    if path.is_file():
        record, results = _read(path), Results(path.parent.parent)
    else:
        folder, colon, method = name.rpartition(":")
        if not colon:
            raise BadInput(f"{name}: neither a record's file nor an artefact; write DIR:METHOD, or DIR/records/….json")
        results = Results(Path(folder))
        record = _of_method(results, method)
    if record.status != "ok":
        raise BadInput(
            f"{results.path(record.identity)}: this cell has {record.status} ({record.reason}); name another"
        )
    return Named(record, results.artefact(record.identity), results.folder)


def open_artefact(named: Named, device: torch.device, *, trust_remote_code: bool = False) -> Artefact:
    """Opens what a cell's method has learnt, or fits it again when that was not kept.

    Raises:
        BadInput: when the data, the encoder or the method are no longer those of the cell, or what was kept cannot be
            read.
    """
    record, identity = named.record, named.record.identity
    cell = Cell(record.dataset, record.encoder, record.method, record.seed, identity["split"], identity["limit"])
    bench = Workbench(device, _untold, trust_remote_code=trust_remote_code)
    _check_same(record, bench.identity(cell))
    dataset, encoder = bench.load(cell.dataset, cell.limit).dataset, bench.encoder(cell.encoder)
    split = bench.split(cell.dataset, cell.limit, identity["split"], cell.seed)
    vectors = bench.query_vectors(cell)[0]
    train, dev, test = (dataset.judged(rows, vectors) for rows in (split.train, split.dev, split.test))
    problem = Problem(bench.corpus(cell)[0], train, dev, encoder, device=device, seed=cell.seed)
    method = parse(cell.method)
    learnt = [*split.train.tolist(), *split.dev.tolist()]
    queries = {dataset.query_ids[row]: dataset.queries[row] for row in learnt}
    known = Known(dataset.document_ids, dataset.documents, queries)
    known, problem = grown(known, problem, named.additions, encoder, bench.store)
    kept = named.kept.exists() or named.results is None
    tuned = _opened(method, named.kept, problem, encoder) if kept else _fitted(method, problem)
    return Artefact(named, method, known, encoder, bench.store, problem, test, tuned, not kept)


def _untold(what: str, done: int, total: int) -> None:
    """Progress that nobody is told of."""


def _read(path: Path) -> Record:
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadInput(f"{path}: not the record of a cell ({first_fault(error)}); name another file") from None


def _of_method(results: Results, name: str) -> Record:
    records = list(results.records())
    try:
        wanted = label(parse(name))
    except UnknownName:
        wanted = name  # it may come from a package that is not installed here
    found = [record for record in records if record.method == wanted and record.status == "ok"]
    if not found:
        raise nearest_name("method", name, {record.method for record in records if record.status == "ok"})
    settings = by_setting(found)
    if len(settings) > 1:
        files = ", ".join(
            f"{results.path(some[0].identity)} ({some[0].dataset}, {some[0].encoder})" for some in settings.values()
        )
        raise BadInput(f"{results.folder}: {name} ran in {plural(len(settings), 'setting')}; name a record: {files}")
    return min(found, key=lambda record: (-record.identity["method_version"], record.seed))


def _check_same(record: Record, now: dict[str, Any]) -> None:
    for name in SAME:
        if record.identity.get(name) != now[name]:
            before, after = (_shown(identity.get(name)) for identity in (record.identity, now))
            problem = f"{SAID[name]} changed since this cell ran ({before} then, {after} now)"
            raise BadInput(f"{record.dataset} · {record.encoder} · {record.method}: {problem}; run the cell again")


def _shown(value: object) -> str:
    return str(value)[:60]


def _opened(method: Method, kept: Path, problem: Problem, encoder: IdentifiedEncoder) -> Tuned:
    try:
        return method.load(kept, problem.corpus, encoder.reopened)
    except ProblemError as error:
        raise BadInput(str(error)) from None
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise BadInput(f"{kept}: damaged ({error}); delete it, and the cell is fitted again") from None


def _fitted(method: Method, problem: Problem) -> Tuned:
    seed_everything(problem.seed)
    with determined(problem.device, problem.meter.note):
        try:
            return fit(method, problem)
        except ProblemError as error:
            raise BadInput(str(error)) from None
