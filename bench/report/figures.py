"""The charts of a board and of standings over several, and the names of their files."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from bench.names import BASELINE, BUCKETS, MAIN
from bench.report.board import Board, Figures
from bench.report.charts import Chart, Curve, Dot, Panel, Point, curves, dots, scatter
from bench.report.entrants import Setting
from bench.report.overall import Overall, efficient, gains_and_costs
from bench.report.words import TO, clean, signed
from bench.words import duration

_SCATTER = f"Gain in NDCG@10 over {BASELINE} against the time to fit, with the Pareto frontier"


def board_charts(board: Board) -> dict[str, Chart]:
    """The charts for which the board has figures: `gain`, `ndcg`, `nearest` and `encodes`."""
    complete = board.complete
    if len(complete) < 2:
        return {}
    lead = [row.mark != "" for row in board.rows if row.figures]
    gain, nearest = _scatter(gains_and_costs(board)), _nearest(complete, lead)
    charts = {"gain": gain, "ndcg": _ndcg(complete, lead), "nearest": nearest, "encodes": _encodes(complete)}
    return {name: chart for name, chart in charts.items() if chart}


def overall_charts(overall: Overall) -> dict[str, Chart]:
    """The chart `gain`, where fit times are known."""
    chart = _scatter(
        {each.method: (each.averages.gain, each.averages.fit_seconds) for each in overall.standings if each.averages}
    )
    return {"gain": chart} if chart else {}


def stems(settings: Sequence[Setting]) -> list[str]:
    """What the names of each setting's files begin with: its data set and encoder, and a hash where others have both.

    The setting of standings over several data sets has none, and `overall` stands in its place.
    """
    short = ["-".join(_slug(name) for name in (each.dataset or "overall", each.encoder)) for each in settings]
    shared = Counter(short)
    return [
        stem if shared[stem] == 1 else f"{stem}-{hashlib.sha256(repr(setting).encode()).hexdigest()[:8]}"
        for stem, setting in zip(short, settings, strict=True)
    ]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-")[:40] or "unnamed"


def _scatter(points: Mapping[str, tuple[float, float | None]]) -> Chart | None:
    frontier, names = efficient(points), distinct(points)
    known = {
        method: Point(names[method], gain, seconds, method in frontier)
        for method, (gain, seconds) in points.items()
        if seconds is not None and method != BASELINE
    }
    if not any(point.seconds > 0 for point in known.values()):
        return None
    words = [f"{clean(m)}: {signed(point.gain, '.3f')}, {duration(point.seconds)}" for m, point in known.items()]
    return scatter(_SCATTER, list(known.values()), words)


def _ndcg(complete: Mapping[str, Figures], lead: Sequence[bool]) -> Chart:
    values = [Dot(figures.means[MAIN], figures.half_width) for figures in complete.values()]
    level = complete[BASELINE].means[MAIN] if BASELINE in complete else None
    words = [
        f"{clean(method)}: {dot.value:.3f}{'' if dot.half_width is None else f' ± {dot.half_width:.3f}'}"
        for method, dot in zip(complete, values, strict=True)
    ]
    caption = f"NDCG@10 with its interval over seeds; dashed: {BASELINE}; blue: the winner, or all that are tied"
    return dots(caption, list(distinct(complete).values()), lead, [Panel("", level, tuple(values))], words)


def _nearest(complete: Mapping[str, Figures], lead: Sequence[bool]) -> Chart | None:
    subsets = [figures.subsets for figures in complete.values()]
    sizes = {name: subset.queries for each in subsets for name, subset in each.items()}
    buckets = [bucket for bucket in BUCKETS if bucket in sizes]
    if len(buckets) < 2:
        return None
    none = complete[BASELINE].subsets if BASELINE in complete else {}
    panels = [
        Panel(
            f"{bucket.replace('-', TO)} (n = {sizes[bucket]:,})",
            none[bucket].ndcg if bucket in none else None,
            tuple(Dot(each[bucket].ndcg) if bucket in each else None for each in subsets),
        )
        for bucket in buckets
    ]
    told = ("; ".join(f"{b.replace('-', TO)} {each[b].ndcg:.3f}" for b in buckets if b in each) for each in subsets)
    words = [f"{clean(method)}: {values}" for method, values in zip(complete, told, strict=True)]
    caption = (
        "NDCG@10 by the cosine of a test query to the nearest train query of its relevant documents; "
        f"dashed: {BASELINE}"
    )
    return dots(caption, list(distinct(complete).values()), lead, panels, words)


def _encodes(complete: Mapping[str, Figures]) -> Chart | None:
    paths = {method: each.encodes.checks for method, each in complete.items() if each.encodes and each.encodes.checks}
    names = distinct(complete)
    lines = [Curve(names[method], path) for method, path in paths.items()]
    if not any(at > 0 for line in lines for at, _ in line.points):
        return None
    caption = "NDCG@10 of the dev queries against the documents encoded so far while training, mean over the seeds"
    return curves(caption, "documents encoded while training", sorted(lines, key=lambda line: -line.points[-1][1]))


def distinct(methods: Iterable[str]) -> dict[str, str]:
    """For each label a name without the settings that all labels of its method have.

    The method itself goes, where settings are left, when there is no other method but the baseline.
    """
    settings: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for label in methods:
        found = re.fullmatch(r"([^\[]*)(?:\[([^\]]*)\])?", label)
        name, inner = (found[1], found[2]) if found else (label, None)
        settings[name][label] = inner.split(",") if inner else []
    names = {}
    for name, labels in settings.items():
        shared = set.intersection(*map(set, labels.values())) if len(labels) > 1 else set()
        for label, own in labels.items():
            kept = ",".join(each for each in own if each not in shared)
            names[label] = clean(f"{name}[{kept}]" if kept and settings.keys() - {name, BASELINE} else kept or name)
    return names
