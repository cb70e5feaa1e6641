"""Learning curves: methods with a share of their train queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.decision import REACH, Point, Trend
from bench.names import MAIN
from bench.record import Record
from methods import Chain, Method, UnknownName, label, parse

SHARES = (0.5, 0.25, 0.1)
STEEP = 0.25  # the least share from which on a curve is taken for a line over the logarithm of its queries


def shared(method: Method, share: float) -> Method:
    """The method with a share of its train queries, or each link of a chain: the same ones, as the seed draws them."""
    if isinstance(method, Chain):
        return replace(method, links=tuple(shared(link, share) for link in method.links))
    return replace(method, train_share=share)


def share_of(record: Record) -> float:
    """The share of the train queries that a cell's method learnt from, the smallest of a chain's links."""
    known = record.identity["hyperparameters"]
    return min(float(link.get("train_share", 1.0)) for link in known.get("links", [known]))


def curves(whole: Mapping[str, Mapping[int, Record]], parts: Iterable[Record]) -> dict[str, list[Point]]:
    """NDCG@10 by share, over the seeds that all shares of a method have; in the order of the methods.

    Args:
        whole: by label, the cells of methods with all train queries, by seed.
        parts: cells of methods with a share of them.
    """
    by_share: dict[str, dict[float, dict[int, Record]]] = defaultdict(dict)
    for record in parts:
        name = _unshared(record.method)
        if record.status == "ok" and name in whole:
            by_share[name].setdefault(share_of(record), {})[record.seed] = record
    found = {}
    for name, done in whole.items():
        shares = {**by_share.get(name, {}), 1.0: done}
        seeds = sorted(set.intersection(*map(set, shares.values())))
        if seeds and len(shares) > 1:
            found[name] = [_point(share, [shares[share][seed] for seed in seeds]) for share in sorted(shares)]
    return found


def trends(first: str, found: Mapping[str, Sequence[Point]]) -> list[Trend]:
    """Where each other curve overtakes the first, both going on as lines over the logarithm of the train queries."""
    if first not in found:
        return []
    lines = {name: _line(points) for name, points in found.items()}
    return [
        Trend(rival=name, queries=_crossing(lines[first], line, found[first][-1].train_queries))
        for name, line in lines.items()
        if name != first
    ]


def _unshared(written: str) -> str:
    try:
        return label(shared(parse(written), 1.0))
    except UnknownName:
        return written


def _point(share: float, records: Sequence[Record]) -> Point:
    queries = np.mean([record.counts["train_queries"] for record in records])
    ndcg = float(np.mean([record.metrics[MAIN] for record in records]))
    return Point(share=share, train_queries=max(1, round(share * queries)), ndcg=ndcg)


def _line(points: Sequence[Point]) -> tuple[float, float]:
    """The slope for each doubling of the train queries, and the value at a single one."""
    steep = [point for point in points if point.share >= STEEP]
    used = steep if len(steep) > 1 else points
    slope, start = np.polyfit(np.log2([point.train_queries for point in used]), [point.ndcg for point in used], 1)
    return float(slope), float(start)


def _crossing(first: tuple[float, float], rival: tuple[float, float], now: int) -> int | None:
    if rival[0] <= first[0]:
        return None
    doublings = (first[1] - rival[1]) / (rival[0] - first[0])
    queries = 2.0 ** min(doublings, 60.0)
    return max(now, round(queries)) if queries <= REACH * now else None
