"""Comparisons of two methods and of two folders → text and plain JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bench.report.diff import Cells, Diff, Row, Verdict
from bench.report.difference import Difference
from bench.report.sheet import ABOVE, BELOW
from bench.report.significance import DRAWS, LEVEL
from bench.report.tables import Line, Table
from bench.report.words import GAP, TO, clean, place, seed_range, signed, thousandths, title
from bench.words import plural

if TYPE_CHECKING:  # it brings torch
    from bench.report.versus import Query, Versus

_MARKS = {1: f"{ABOVE} ", 0: "", -1: f"{BELOW} "}
_VERDICTS: dict[Verdict, str] = {
    "regression": f"{BELOW} regression",
    "improvement": f"{ABOVE} improvement",
    "noise": "within noise",
    "unchanged": "unchanged",
}
_HALF_WIDTH = "half the width of its 95 % t-interval"

VERSUS_LEGEND = (
    f"A − B: difference in NDCG@10. ± queries: {_HALF_WIDTH} over clusters of queries; ± seeds: over the seeds, wider "
    "where random splits overlap. Buckets: the cosine of a test query to the nearest train query of its relevant "
    f"documents; n: test queries, all seeds together. {ABOVE}: A significantly above B; {BELOW}: below it. "
    f"Significant: p < {LEVEL} after Holm over the rows of the table, in each of the tests that apply: a permutation "
    f"test of clusters of queries ({DRAWS:,} sign flips), and over five random splits or more the corrected resampled "
    "t-test; p is the larger of the two. Queries: mean over the seeds that tested them."
)
DIFF_LEGEND = (
    f"Difference: in NDCG@10, new less old, over the seeds of both; ±: {_HALF_WIDTH} over clusters of queries. "
    "Regression and improvement: p < {level} after Holm over {rows}, in a permutation test of clusters of queries. "
    "Unchanged: every query has the same NDCG@10 to the last bit. Fit: the new time as a part of the old, on the same "
    "device; never a regression."
)


def versus_tables(versus: Versus) -> tuple[Table, Table]:
    """Words a comparison on one board: its parts, and the queries that change most."""
    header = ("test queries", "n", "A", "B", "A − B", "± queries", "± seeds", "p", "p (Holm)")
    parts = tuple(Line((_part(name), *_cells(part)), bold=part.sign != 0) for name, part in versus.parts.items())
    queries = tuple(Line(_query(query), bold=False) for query in versus.changed)
    return (
        Table(title(versus.setting, versus.seeds), header, parts),
        Table("Queries that change most", ("query", "A", "B", "A − B", "seeds"), queries),
    )


def _part(name: str) -> str:
    return f"nearest {name.replace('-', TO)}" if name.startswith(("<", ".", ">")) else name


def _cells(part: Difference) -> tuple[str, ...]:
    return (
        f"{part.queries:,}",
        f"{part.first:.3f}",
        f"{part.second:.3f}",
        f"{_MARKS[part.sign]}{signed(part.value, '.3f')}",
        thousandths(part.over_queries),
        thousandths(part.over_seeds),
        _p(part.p),
        _p(part.holm),
    )


def _query(query: Query) -> tuple[str, ...]:
    scores = (f"{query.first:.3f}", f"{query.second:.3f}", signed(query.first - query.second, ".3f"))
    return (clean(query.id), *scores, str(query.seeds))


def _p(values: dict[str, float]) -> str:
    p = max(values.values())
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def diff_tables(diff: Diff) -> list[Table]:
    """Words the compared rows, a table for each data set, encoder and split."""
    header = ("method", "cells", "old", "new", "difference", "±", "p (Holm)", "fit", "verdict")
    return [
        Table(where, header, tuple(Line(_row(row), row.verdict == "regression") for row in rows))
        for where, rows in groupby(diff.rows, key=lambda row: place(row.cells.setting))
    ]


def _row(row: Row) -> tuple[str, ...]:
    found = row.difference
    tested = (signed(found.value, ".3f"), thousandths(found.over_queries), _p(found.holm))
    return (
        clean(row.cells.method),
        seed_range(row.cells.seeds),
        f"{found.second:.3f}",
        f"{found.first:.3f}",
        *([""] * len(tested) if row.unchanged else tested),
        GAP if row.fit_ratio is None else f"{row.fit_ratio:.2f}x",
        _VERDICTS[row.verdict],
    )


def diff_notes(diff: Diff) -> list[str]:
    """What else changed, and what could not be compared, a line each."""
    rows: dict[str, int] = defaultdict(int)
    for row in diff.rows:
        for name, (old, new) in row.changes.items():
            rows[f"{name} {old or GAP} → {new or GAP}"] += 1
    changes = [f"changed: {change} ({count} of {plural(len(diff.rows), 'row')})" for change, count in rows.items()]
    kinds = {
        "not compared": diff.untested,
        "without scores in both": diff.without,
        "only in OLD": diff.only_old,
        "only in NEW": diff.only_new,
        "mended": diff.mended,
        "regression": diff.lost,
    }
    return [clean(note) for note in (*changes, *(note for kind in kinds for note in _notes(kind, kinds[kind])))]


def _notes(kind: str, cells: Iterable[Cells]) -> list[str]:
    methods: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in cells:
        methods[f"{kind}: {place(each.setting)} · {seed_range(each.seeds)}", each.reason].append(each.method)
    return [": ".join(filter(None, (where, ", ".join(named), why))) for (where, why), named in methods.items()]


def diff_legend(diff: Diff) -> str:
    """What the words in the tables mean and which test stands behind them."""
    return DIFF_LEGEND.format(level=LEVEL, rows=plural(len(diff.rows), "row"))


def diff_verdict(diff: Diff) -> str:
    """How many rows are worse, better and the same, in a sentence."""
    verdicts = [row.verdict for row in diff.rows]
    counts = {name: verdicts.count(name) for name in _VERDICTS}
    counted = (
        plural(counts["regression"] + len(diff.lost), "regression"),
        plural(counts["improvement"] + len(diff.mended), "improvement"),
        f"{counts['noise']:,} within noise",
        f"{counts['unchanged']:,} unchanged",
    )
    return ", ".join(counted)


def versus_facts(versus: Versus) -> dict[str, Any]:
    """A comparison on one board as plain JSON, at full precision."""
    parts = [
        {"part": name, **asdict(part), "difference": part.value, "sign": part.sign}
        for name, part in versus.parts.items()
    ]
    queries = [asdict(query) for query in versus.changed]
    return {**asdict(versus.setting), "seeds": versus.seeds, "parts": parts, "queries": queries}


def diff_facts(diff: Diff) -> dict[str, Any]:
    """What became of the cells as plain JSON, at full precision."""
    lists = {name: [_cells_facts(cells) for cells in value] for name, value in vars(diff).items() if name != "rows"}
    return {"regressed": diff.regressed, "rows": [_row_facts(row) for row in diff.rows], **lists}


def _cells_facts(cells: Cells) -> dict[str, Any]:
    named = {"method": cells.method, "seeds": cells.seeds}
    return {**asdict(cells.setting), **named, **({"reason": cells.reason} if cells.reason else {})}


def _row_facts(row: Row) -> dict[str, Any]:
    found = row.difference
    figures = {"old": found.second, "new": found.first, "difference": found.value, "over_queries": found.over_queries}
    tested = {"p": found.p["permutation"], "p_holm": found.holm["permutation"], "verdict": row.verdict}
    return {**_cells_facts(row.cells), **figures, **tested, "fit_ratio": row.fit_ratio, "changes": row.changes}
