"""Boards → text: the one place that words and formats what a table shows, whoever prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.names import BUCKETS, MAIN
from bench.report.board import BASELINE, Board, Figures, Row, Subset
from bench.report.entrants import Setting
from bench.report.factors import Claimed, compare_factors
from bench.report.published import Compared, compare_published, published
from bench.report.significance import LEVEL
from bench.report.words import (
    GAP,
    TO,
    clean,
    conditions,
    device,
    duration,
    listed,
    plural,
    revision,
    seed_range,
    signed,
)

_NAMED = 3  # methods in a sentence; a table that marks more of them says it better
TIED, ABOVE, BELOW = "≈", "▲", "▼"
INTRODUCTION = (
    "NDCG@10 is the mean over seeds ± half the width of its 95 % t-interval; one seed has none. "
    "Seen and unseen: NDCG@10 of the test queries that have, or have not, a relevant document with a train query, "
    "pooled over the seeds. "
    "Fit: time from embeddings to a tuned index, averaged over the seeds. "
    f"{GAP} instead of a mean: not every seed has run, and no test includes the method."
)

PUBLISHED = (
    "What papers report, beside the means over the seeds; difference: measured less published. A factor is measured "
    "on one data set, and claimed on the average of others. "
    f"{GAP} instead of an average over several data sets: not all of them have been measured."
)


@dataclass(frozen=True)
class Line:
    """One row of a table.

    Attributes:
        cells: its text, the method first.
        bold: whether to print it bold.
        values: what each cell after the first is sorted by; None for a gap, and for text, which is its own order.
    """

    cells: tuple[str, ...]
    bold: bool
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Table:
    """A table as text; every line has as many cells as the header. The first column reads left, the others right.

    Attributes:
        caption: what it shows.
        header: names of the columns.
        lines: its rows.
        about: the setting of a table that stands by itself; its `dataset` may name several, joined by spaces.
    """

    caption: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]
    about: Setting | None = None


@dataclass(frozen=True)
class Sheet:
    """One board as plain text, without any markup: names in it are whatever the records hold.

    Attributes:
        title: data set, encoder, split, device and seeds.
        facts: sizes and versions.
        verdict: the winner or the tied group, in a sentence.
        main: the leaderboard.
        legend: what its marks mean and which tests stand behind them.
        nearest: NDCG@10 by the nearest train query; None when there is no such query, or no cell tells.
        notes: on failed, skipped and replaced cells and on others, a line each.
    """

    title: str
    facts: str
    verdict: str
    main: Table
    legend: str
    nearest: Table | None
    notes: tuple[str, ...]


def sheet(board: Board) -> Sheet:
    """Words one board."""
    setting = board.setting
    title = (setting.dataset, *conditions(setting), seed_range(board.seeds))
    return Sheet(
        title=clean(" · ".join(title)),
        facts=clean(_facts(board)),
        verdict=clean(_verdict(board)),
        main=_main(board),
        legend=_legend(board),
        nearest=_nearest(board),
        notes=tuple(clean(note) for note in _notes(board)),
    )


def published_tables(boards: Sequence[Board]) -> list[Table]:
    """Words what was published beside what was measured: figures, and factors of one method over another."""
    return _figures_tables(compare_published(boards)) + _factors_tables(compare_factors(boards, published().factors))


def _figures_tables(compared: Sequence[Compared]) -> list[Table]:
    header = ("method", "metric", "published", "measured", "difference")
    tables = []
    for (setting, table), group in groupby(compared, key=lambda figure: (figure.setting, figure.table)):
        figures = list(group)
        lines = tuple(
            Line(_compared(figure), bold=False, values=(None, figure.published, figure.measured, figure.difference))
            for figure in figures
        )
        of = f"{'mean of ' if len(table.datasets) > 1 else ''}{', '.join(table.datasets)}"
        about = (of, setting.encoder, revision(setting), device(setting), table.source)
        missing = ", ".join(dict.fromkeys(name for figure in figures for name in figure.missing))
        notes = (table.notes, missing and f"cells are missing on {missing}")
        tables.append(Table(clean("; ".join(filter(None, (" · ".join(about), *notes)))), header, lines, setting))
    return tables


def _factors_tables(claimed: Sequence[Claimed]) -> list[Table]:
    header = ("method", "over", "gain, published", "measured", "speed, published", "measured")
    tables = []
    for (setting, source), group in groupby(claimed, key=lambda each: (each.board.setting, each.factor.source)):
        lines = tuple(
            Line(_claimed(each), bold=False, values=(None, each.factor.gain, each.gain, each.factor.speed, each.speed))
            for each in group
        )
        about = (setting.dataset, setting.encoder, device(setting), source)
        caption = f"{' · '.join(about)}; gain: in NDCG@10 over {BASELINE}; speed: of fitting"
        tables.append(Table(clean(caption), header, lines, setting))
    return tables


def _claimed(claimed: Claimed) -> tuple[str, ...]:
    factor = claimed.factor
    gain = "it gains nothing" if claimed.gain is None else f"{claimed.gain:.1f}x"
    speed = (
        GAP if claimed.speed is None else f"{claimed.speed:.2g}x" if claimed.speed < 10 else f"{claimed.speed:,.0f}x"
    )
    named = (clean(claimed.row.method), clean(claimed.over.method))
    return (*named, f"{factor.gain:.1f}x", gain, f"{factor.speed:g}x", speed)


def _compared(figure: Compared) -> tuple[str, ...]:
    named = (clean(figure.method), figure.metric, f"{figure.published:.3f}")
    if figure.measured is None or figure.difference is None:
        datasets = len(figure.table.datasets)
        return (*named, f"{GAP} ({len(figure.by_dataset)} of {plural(datasets, 'data set')})", GAP)
    return (*named, f"{figure.measured:.3f}", signed(figure.difference, ".3f"))


def _main(board: Board) -> Table:
    header = ("method", "NDCG@10", f"gain over {BASELINE}", "Recall@10", "seen", "unseen", "fit")
    lines = tuple(
        Line((_method(row), *_cells(row, len(board.seeds))), row.mark == "winner", _values(row)) for row in board.rows
    )
    return Table("Methods by mean NDCG@10", header, lines)


def _cells(row: Row, seeds: int) -> tuple[str, ...]:
    figures = row.figures
    if figures is None:
        return (f"{GAP} ({row.done} of {plural(seeds, 'seed')})", *[GAP] * 5)
    return (
        _interval(figures),
        _gain(row),
        f"{figures.means['recall@10']:.3f}",
        _ndcg(figures.subsets.get("seen")),
        _ndcg(figures.subsets.get("unseen")),
        GAP if figures.fit_seconds is None else duration(figures.fit_seconds),
    )


def _values(row: Row) -> tuple[float | None, ...]:
    figures = row.figures
    if figures is None:
        return (None,) * 6
    gain = row.against.gain if row.against else 0.0 if row.method == BASELINE else None
    subsets = [figures.subsets.get(name) for name in ("seen", "unseen")]
    ndcg = (None if subset is None else subset.ndcg for subset in subsets)
    return (figures.means[MAIN], gain, figures.means["recall@10"], *ndcg, figures.fit_seconds)


def _method(row: Row) -> str:
    return clean(f"{row.method} {TIED}" if row.mark == "tied" else row.method)


def _interval(figures: Figures) -> str:
    mean = f"{figures.means[MAIN]:.3f}"
    return mean if figures.half_width is None else f"{mean} ± {figures.half_width:.3f}"


def _gain(row: Row) -> str:
    against = row.against
    if against is None:
        return "baseline" if row.method == BASELINE else GAP
    ratio = "" if against.ratio is None else f" ({signed(against.ratio, '.0%').replace('%', ' %')})"
    mark = {1: f"{ABOVE} ", -1: f"{BELOW} ", 0: ""}[against.sign]
    return f"{mark}{signed(against.gain, '.3f')}{ratio}"


def _ndcg(subset: Subset | None) -> str:
    return GAP if subset is None else f"{subset.ndcg:.3f}"


def _facts(board: Board) -> str:
    def count(name: str) -> str:
        lowest, highest = board.counts[name]
        return f"{lowest:,}" if lowest == highest else f"{lowest:,}{TO}{highest:,}"

    facts = [f"fingerprint {str(board.setting.fingerprint)[:12]}", revision(board.setting)]
    if board.counts:
        queries = ", ".join(f"{count(f'{split}_queries')} {split}" for split in ("train", "dev", "test"))
        facts = [f"{count('documents')} documents", f"{queries} queries", *facts]
    return " · ".join(facts)


def _verdict(board: Board) -> str:
    if board.comparison is None:
        return "Nothing to compare: fewer than two methods are complete."
    best, second = board.rows[:2]
    if best.mark == "winner":
        return f"Winner: {best.method}, significantly above the runner-up, {second.method}."
    tied = [row.method for row in board.rows[1:] if row.mark == "tied"]
    below = listed(tied) if len(tied) <= _NAMED else f"{len(tied)} others ({TIED})"
    are = "is" if len(tied) == 1 else "are"
    return f"No single winner: {best.method} leads, but {below} {are} not significantly below it."


def _legend(board: Board) -> str:
    compared = board.comparison
    if compared is None:
        return "No tests."
    methods = len(compared.better)
    tests = [f"a permutation test of {plural(compared.clusters, 'cluster')} of queries ({compared.draws:,} sign flips)"]
    if "resampled_t" in compared.tests:
        tests.append(f"the corrected resampled t-test over {len(board.seeds)} splits")
    return (
        f"Bold: the winner, significantly above the runner-up. {TIED}: tied, the best row and all that are not "
        f"significantly below it. {ABOVE}: significantly above {BASELINE}; {BELOW}: below it. "
        f"Significant: p < {LEVEL} after Holm over {plural(methods * (methods - 1) // 2, 'pair')}, "
        f"in {'each of 2 tests' if len(tests) > 1 else '1 test'}: {' and '.join(tests)}."
    )


def _nearest(board: Board) -> Table | None:
    complete = {row.method: row.figures.subsets for row in board.rows if row.figures}
    sizes = {name: subset.queries for subsets in complete.values() for name, subset in subsets.items()}
    buckets = [bucket for bucket in BUCKETS if bucket in sizes]
    baseline = complete.get(BASELINE, {})

    def cell(method: str, bucket: str) -> str:
        subset = complete[method].get(bucket)
        none = None if method == BASELINE else baseline.get(bucket)
        return _ndcg(subset) + (f" ({signed(subset.ndcg - none.ndcg, '.3f')})" if subset and none else "")

    def value(method: str, bucket: str) -> float | None:
        subset = complete[method].get(bucket)
        return None if subset is None else subset.ndcg

    header = ("method", *(f"{bucket.replace('-', TO)} (n = {sizes[bucket]:,})" for bucket in buckets))
    lines = (
        Line(
            (clean(method), *(cell(method, bucket) for bucket in buckets)),
            bold=False,
            values=tuple(value(method, bucket) for bucket in buckets),
        )
        for method in complete
    )
    caption = (
        f"NDCG@10 (gain over {BASELINE}) by the cosine of a test query to the nearest train query of its relevant "
        "documents; n: test queries, all seeds together"
    )
    return Table(caption, header, tuple(lines)) if len(buckets) > 1 else None


def _notes(board: Board) -> list[str]:
    remarks = [f"{r.method}: {r.status} on {seed_range(r.seeds)}: {r.text}" for r in board.remarks]
    replaced = [
        f"{method}: {plural(cells, 'cell')} of an older version left out" for method, cells in board.replaced.items()
    ]
    return remarks + replaced
