"""What to ship, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.decision import REACH, Candidate, Decision, Gain
from bench.names import BASELINE
from bench.report.tables import Line, Table
from bench.report.words import GAP, clean, listed, signed, thousandths
from bench.words import duration, plural

NAMED = 3  # methods in a sentence
SERVED = {
    "documents": "documents are indexed anew",
    "queries": "each query vector is mapped before the search",
    "encoder": "the model is swapped, and all documents are encoded and indexed anew",
    "search": "the search itself is replaced",
}


def decision_lines(decision: Decision) -> tuple[str, ...]:
    """The decision and what it rests on, a sentence or two a line."""
    best = decision.best
    lines = [_verdict(decision)]
    if decision.verdict == "better":
        lines += [_by_wording(decision), _cost(decision), _serving(best, decision.counts.get("documents"))]
        lines.append(_tied(decision.tied))
    lines += [_more(decision), _left_out(decision)]
    return tuple(clean(line) for line in lines if line)


def decision_curves(decision: Decision) -> Table | None:
    """The learning curves, a row a method; None when there are none."""
    shares = sorted({point.share for points in decision.curves.values() for point in points})
    queries = {point.share: point.train_queries for points in decision.curves.values() for point in points}
    lines = []
    for name, points in decision.curves.items():
        at = {point.share: point.ndcg for point in points}
        values = tuple(at.get(share) for share in shares)
        lines.append(Line((clean(name), *map(thousandths, values)), bold=name == decision.chosen, values=values))
    header = ("method", *(f"{share:.0%} ({queries[share]:,})".replace("%", " %") for share in shares))
    caption = "NDCG@10 by the share of the train queries (their number)"
    return Table(caption, header, tuple(lines)) if lines else None


def _verdict(decision: Decision) -> str:
    best, tests = decision.best, decision.counts.get("test_queries", 0)
    over = f"over {plural(len(decision.seeds), 'split')} with {tests:,} test queries each"
    reached = f"{best.ndcg:.3f} instead of {decision.none:.3f}, {_gain(best.gain)}, {over}"
    if decision.verdict == "better":
        return f"Ship {best.method}: NDCG@10 {reached}."
    if decision.verdict == "none":
        return f"Ship {BASELINE}: nothing gains what would be worth its while. The best is {best.method}: {reached}."
    told = f"The best, {best.method}, is not significantly better: {reached}; {_needed(best.gain)}"
    return f"Ship {BASELINE} for now, for the data cannot tell. {told}."


def _needed(gain: Gain) -> str:
    """How many more queries it takes for such a gain to show: an interval shrinks with the root of their number."""
    if gain.half_width is None or gain.value <= 0:
        return "judge more queries"
    times = max(2, math.ceil((gain.half_width / gain.value) ** 2))
    return f"about {times} times as many judged queries would show such a gain"


def _gain(gain: Gain) -> str:
    width = "" if gain.half_width is None else f" ± {gain.half_width:.3f}"
    return f"{signed(gain.value, '.3f')}{width}"


def _by_wording(decision: Decision) -> str:
    tested = decision.best.gain.queries
    kinds = (("queries worded like a train query", decision.like), ("queries in new words", decision.new))
    parts = [
        f"{_gain(gain)} on {what} ({100 * gain.queries / tested:.0f} % of the test queries)"
        for what, gain in kinds
        if gain
    ]
    return f"By wording: {listed(parts)}." if parts else ""


def _cost(decision: Decision) -> str:
    best = decision.best
    made = GAP if best.fit_seconds is None else duration(best.fit_seconds)
    again = "tunebench update adds judgements and documents" if best.updates else "new judgements take that again"
    encoded = f"after {duration(decision.encode_seconds)} of encoding, which {BASELINE} takes too"
    return f"To make: {made} of fitting, {encoded}. To keep: {again}."


def _serving(best: Candidate, documents: int | None) -> str:
    moved = "" if best.touched is None or documents is None else f" ({best.touched:,} of {documents:,} move)"
    told = [SERVED[part] + (moved if part == "documents" else "") for part in best.replaces if part in SERVED]
    return f"Where it is served: {listed(told)}." if told else ""


def _tied(tied: Sequence[Candidate]) -> str:
    quickest = sorted(tied, key=lambda each: math.inf if each.fit_seconds is None else each.fit_seconds)
    named = [
        f"{each.method} ({each.ndcg:.3f}, {GAP if each.fit_seconds is None else duration(each.fit_seconds)})"
        for each in quickest[:NAMED]
    ]
    others = [plural(len(tied) - NAMED, "other")] if len(tied) > NAMED else []
    return f"Not significantly below it, the quickest to fit first: {listed([*named, *others])}." if tied else ""


def _more(decision: Decision) -> str:
    points = decision.curves.get(decision.best.method, [])
    if len(points) < 2:
        return ""
    last, before = points[-1], points[-2]
    rise = signed(last.ndcg - before.ndcg, ".3f")
    grown = f"{before.train_queries:,} to {last.train_queries:,} train queries: {rise}"
    crossings = [f"{each.rival} with about {each.queries:,}" for each in decision.trends if each.queries is not None]
    if crossings:
        return (
            f"More queries: {grown}. Should the curves go on so, others overtake it: {listed(crossings)} train queries."
        )
    return f"More queries: {grown}; no other curve overtakes it within {REACH} times as many."


def _left_out(decision: Decision) -> str:
    told = [f"{name} ({why})" for name, why in decision.left_out.items()]
    return f"Not tried: {listed(told)}." if told else ""
