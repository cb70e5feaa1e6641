"""Standings over several data sets → text, in the form of a board's."""

from __future__ import annotations

from bench.names import BASELINE
from bench.report.overall import Averages, Overall, Standing
from bench.report.sheet import Sheet
from bench.report.tables import Line, Table
from bench.report.words import GAP, clean, conditions, listed, revision, signed
from bench.words import duration, plural

LEGEND = (
    f"Gain: that in NDCG@10 over {BASELINE}, averaged over the data sets, each of which weighs alike; ± half the width "
    "of its 95 % t-interval over the seeds, for these data sets and not for others. "
    "Rank: by NDCG@10, averaged likewise. "
    "Wins / ties / losses: against each other method on each data set; a win or a loss is significant there after "
    "Holm's correction. "
    "Fit: averaged likewise. "
    "Frontier: no other method gains more in as little time, or as much in less. "
    f"{GAP}: the method is not complete on all of the data sets, so it has no average, and no rank or pair counts it."
)


def overall_sheet(overall: Overall) -> Sheet:
    """Words standings over several data sets."""
    header = ("method", f"gain over {BASELINE}", "mean rank", "wins / ties / losses", "fit", "frontier")
    lines = tuple(_line(standing, len(overall.datasets)) for standing in overall.standings)
    title = (f"Overall, {plural(len(overall.datasets), 'data set')}", *conditions(overall.setting))
    return Sheet(
        title=clean(" · ".join(title)),
        facts=clean(f"{listed(overall.datasets)} · {revision(overall.setting)}"),
        verdict=clean(_verdict(overall)),
        main=Table("Methods by mean gain", header, lines),
        legend=LEGEND,
        nearest=None,
        encodes=None,
        notes=tuple(clean(f"{dataset}: left out, {why}") for dataset, why in overall.left_out.items()),
    )


def _line(standing: Standing, datasets: int) -> Line:
    averages = standing.averages
    method = clean(standing.method)
    if averages is None:
        gap = f"{GAP} ({standing.done} of {plural(datasets, 'data set')})"
        return Line((method, gap, *[GAP] * 4), bold=False, values=(None,) * 5)
    cells = (
        _gain(standing.method, averages),
        f"{averages.rank:.1f}",
        f"{averages.wins} / {averages.ties} / {averages.losses}",
        GAP if averages.fit_seconds is None else duration(averages.fit_seconds),
        "yes" if averages.efficient else "",
    )
    values = (averages.gain, averages.rank, averages.wins - averages.losses, averages.fit_seconds, averages.efficient)
    return Line((method, *cells), bold=False, values=values)


def _gain(method: str, averages: Averages) -> str:
    if method == BASELINE:
        return "baseline"
    interval = "" if averages.half_width is None else f" ± {averages.half_width:.3f}"
    return f"{signed(averages.gain, '.3f')}{interval}"


def _verdict(overall: Overall) -> str:
    methods = {each.method: each.averages for each in overall.standings if each.averages}
    first = next(iter(methods))
    frontier = [method for method, averages in methods.items() if averages.efficient and method != BASELINE]
    if first == BASELINE:
        return f"No method gains on average over {BASELINE}."
    leads = f"{first} gains most on average, {signed(methods[first].gain, '.3f')}."
    return f"{leads} On the frontier: {listed(frontier)}." if frontier else leads
