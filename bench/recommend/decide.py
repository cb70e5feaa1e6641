"""Finished cells → what to ship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.decision import Candidate, Decision, Gain, write_decisions
from bench.errors import BadInput
from bench.names import BASELINE, MAIN
from bench.recommend.shares import curves, share_of, trends
from bench.record import Record, Results
from bench.report.board import Against, Board, Figures, Row, cells_digest, make_board
from bench.report.difference import measure, read_pairs
from bench.report.entrants import Entrant, Setting, by_setting, entrants
from bench.report.paired import test_to_train
from methods import Chain, Method, UnknownName, parse

LIKE = 0.8  # the cosine from which on a test query is worded like its nearest train query
WORTH = 0.01  # of NDCG@10: nobody ships anything for less


def decide(folder: Path, left_out: Mapping[str, str] | None = None) -> list[Decision]:
    """Decides for each board of a results folder that has `none` and another method complete, and writes it down.

    The best mean is chosen that is significantly above `none`. Cells with a share of the train queries take no part
    but draw the curves.

    Args:
        folder: of the results.
        left_out: methods that were not tried, and why.

    Raises:
        BadInput: when there is no such board, and for what reports refuse.
    """
    results = Results(folder)
    decisions = [
        decision
        for setting, records in by_setting(results.records()).items()
        if (decision := _decided(results, setting, records, left_out or {}))
    ]
    if not decisions:
        raise BadInput(f"{folder}: no board has {BASELINE} and another method complete; run both with the same seeds")
    write_decisions(folder, decisions)
    return decisions


def candidates(board: Board) -> list[Row]:
    """The complete rows that could be shipped, the best first: neither `none` nor controls."""
    return [row for row in board.rows if row.figures and row.against and not _is_control(row.method)]


def _decided(
    results: Results, setting: Setting, records: Sequence[Record], left_out: Mapping[str, str]
) -> Decision | None:
    whole, parts = ([r for r in records if (share_of(r) == 1) is wanted] for wanted in (True, False))
    board = make_board(results, setting, whole)
    rows = candidates(board)
    if not rows:
        return None
    entered = {entrant.label: entrant for entrant in entrants(whole)[0]}
    none = entered[BASELINE]
    made = {
        row.method: _candidate(row.figures, row.against, entered[row.method])
        for row in rows
        if row.figures and row.against
    }
    above = [row for row in rows if row.against and row.against.sign == 1]
    best = made[(above or rows)[0].method]
    like, new = _by_wording(results, setting, none, entered[best.method])
    drawn = curves({name: entered[name].done for name in made}, parts)
    return Decision(
        setting=asdict(setting),
        cells=cells_digest(records),
        seeds=list(board.seeds),
        counts={name: board.counts[name][1] for name in board.counts if name == "documents" or "_queries" in name},
        none=board.complete[BASELINE].means[MAIN],
        verdict="better" if above else _verdict(best.gain),
        chosen=best.method if above else None,
        best=best,
        tied=[made[row.method] for row in above[1:] if row.mark == "tied"],
        like=like,
        new=new,
        encode_seconds=max(record.seconds.get("encode", 0.0) for record in none.done.values()),
        curves=drawn,
        trends=trends(best.method, drawn),
        left_out=dict(left_out),
    )


def _verdict(gain: Gain) -> Literal["none", "cannot tell"]:
    return "none" if gain.half_width is not None and gain.value + gain.half_width < WORTH else "cannot tell"


def _candidate(figures: Figures, against: Against, entrant: Entrant) -> Candidate:
    cells = list(entrant.done.values())
    touched = [record.counts["touched_documents"] for record in cells if "touched_documents" in record.counts]
    queries = sum(record.counts.get("test_queries", 0) for record in cells)
    method = _method(cells[0].method)
    return Candidate(
        method=entrant.label,
        ndcg=figures.means[MAIN],
        gain=Gain(queries=queries, value=against.gain, half_width=against.query_half_width),
        fit_seconds=figures.fit_seconds,
        replaces=sorted(method.replaces()) if method else [],
        updates=method is not None and type(method).update not in {Method.update, Chain.update},
        touched=max(touched) if touched else None,
    )


def _by_wording(results: Results, setting: Setting, none: Entrant, best: Entrant) -> tuple[Gain | None, Gain | None]:
    """The gain on test queries that are worded like a train query, and on the others."""
    cells = [((results, record), (results, best.done[seed])) for seed, record in none.done.items()]
    if any("wording" not in pq.read_schema(results.per_query(record)).names for (_, record), _ in cells):
        return None, None  # from before it was measured
    pairs = read_pairs(cells, "wording")
    near = pairs["wording"].to_numpy()
    ratio = 0.0 if setting.split == "official" else test_to_train(list(none.done.values()))
    return _gain(pairs, near >= LIKE, ratio), _gain(pairs, near < LIKE, ratio)


def _gain(pairs: pa.Table, chosen: np.ndarray, ratio: float) -> Gain | None:
    if not chosen.any():
        return None
    difference = measure(pairs.filter(pa.array(chosen)), ratio, pooled=True)
    return Gain(queries=difference.queries, value=-difference.value, half_width=difference.over_queries)


def _is_control(written: str) -> bool:
    method = _method(written)
    links = method.links if isinstance(method, Chain) else [method]
    return any(link is not None and link.control for link in links)


def _method(written: str) -> Method | None:
    """None for one that is not installed here."""
    try:
        return parse(written.partition(" {")[0])
    except UnknownName:
        return None
