"""Boards → text: the one place that words and formats what a table shows, whoever prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.names import BASELINE, BUCKETS, MAIN
from bench.report.board import Board, Figures, Row, Subset
from bench.report.entrants import Setting
from bench.report.factors import Claimed, compare_factors
from bench.report.published import Compared, compare_published, published
from bench.report.significance import LEVEL

GAP, TO = "—", "–"
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
    """One row of a table: its cells, the method first, and whether to print it bold."""

    cells: tuple[str, ...]
    bold: bool


@dataclass(frozen=True)
class Table:
    """A table as text; every line has as many cells as the header. The first column reads left, the others right."""

    caption: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]


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
    limit = () if setting.limit is None else (f"limit {setting.limit:,}",)
    split = f"{setting.split} split"
    title = (setting.dataset, setting.encoder, split, *limit, _device(setting), _seeds(board.seeds))
    return Sheet(
        title=_clean(" · ".join(title)),
        facts=_clean(_facts(board)),
        verdict=_clean(_verdict(board)),
        main=_main(board),
        legend=_legend(board),
        nearest=_nearest(board),
        notes=tuple(_clean(note) for note in _notes(board)),
    )


def published_tables(boards: Sequence[Board]) -> list[Table]:
    """Words what was published beside what was measured: figures, and factors of one method over another."""
    return _figures_tables(compare_published(boards)) + _factors_tables(compare_factors(boards, published().factors))


def _figures_tables(compared: Sequence[Compared]) -> list[Table]:
    header = ("method", "metric", "published", "measured", "difference")
    tables = []
    for (setting, table), group in groupby(compared, key=lambda figure: (figure.setting, figure.table)):
        figures = list(group)
        lines = tuple(Line(_compared(figure), bold=False) for figure in figures)
        of = f"{'mean of ' if len(table.datasets) > 1 else ''}{', '.join(table.datasets)}"
        about = (of, setting.encoder, _revision(setting), _device(setting), table.source)
        missing = ", ".join(dict.fromkeys(name for figure in figures for name in figure.missing))
        notes = (table.notes, missing and f"cells are missing on {missing}")
        tables.append(Table(_clean("; ".join(filter(None, (" · ".join(about), *notes)))), header, lines))
    return tables


def _factors_tables(claimed: Sequence[Claimed]) -> list[Table]:
    header = ("method", "over", "gain, published", "measured", "speed, published", "measured")
    tables = []
    for (setting, source), group in groupby(claimed, key=lambda each: (each.board.setting, each.factor.source)):
        lines = tuple(Line(_claimed(each), bold=False) for each in group)
        about = (setting.dataset, setting.encoder, _device(setting), source)
        caption = f"{' · '.join(about)}; gain: in NDCG@10 over {BASELINE}; speed: of fitting"
        tables.append(Table(_clean(caption), header, lines))
    return tables


def _claimed(claimed: Claimed) -> tuple[str, ...]:
    factor = claimed.factor
    gain = "it gains nothing" if claimed.gain is None else f"{claimed.gain:.1f}x"
    speed = (
        GAP if claimed.speed is None else f"{claimed.speed:.2g}x" if claimed.speed < 10 else f"{claimed.speed:,.0f}x"
    )
    named = (_clean(claimed.row.method), _clean(claimed.over.method))
    return (*named, f"{factor.gain:.1f}x", gain, f"{factor.speed:g}x", speed)


def _compared(figure: Compared) -> tuple[str, ...]:
    named = (_clean(figure.method), figure.metric, f"{figure.published:.3f}")
    if figure.measured is None or figure.difference is None:
        datasets = len(figure.table.datasets)
        return (*named, f"{GAP} ({len(figure.by_dataset)} of {_plural(datasets, 'data set')})", GAP)
    return (*named, f"{figure.measured:.3f}", _signed(figure.difference, ".3f"))


def _main(board: Board) -> Table:
    header = ("method", "NDCG@10", f"gain over {BASELINE}", "Recall@10", "seen", "unseen", "fit")
    lines = tuple(Line((_method(row), *_cells(row, len(board.seeds))), row.mark == "winner") for row in board.rows)
    return Table("Methods by mean NDCG@10", header, lines)


def _cells(row: Row, seeds: int) -> tuple[str, ...]:
    figures = row.figures
    if figures is None:
        return (f"{GAP} ({row.done} of {_plural(seeds, 'seed')})", *[GAP] * 5)
    return (
        _interval(figures),
        _gain(row),
        f"{figures.means['recall@10']:.3f}",
        _ndcg(figures.subsets.get("seen")),
        _ndcg(figures.subsets.get("unseen")),
        GAP if figures.fit_seconds is None else duration(figures.fit_seconds),
    )


def _method(row: Row) -> str:
    return _clean(f"{row.method} {TIED}" if row.mark == "tied" else row.method)


def _interval(figures: Figures) -> str:
    mean = f"{figures.means[MAIN]:.3f}"
    return mean if figures.half_width is None else f"{mean} ± {figures.half_width:.3f}"


def _gain(row: Row) -> str:
    against = row.against
    if against is None:
        return "baseline" if row.method == BASELINE else GAP
    ratio = "" if against.ratio is None else f" ({_signed(against.ratio, '.0%').replace('%', ' %')})"
    mark = {1: f"{ABOVE} ", -1: f"{BELOW} ", 0: ""}[against.sign]
    return f"{mark}{_signed(against.gain, '.3f')}{ratio}"


def _signed(value: float, form: str) -> str:
    return f"{value:+{form}}".replace("-", "−")  # a true minus sign is as wide as the plus


def _ndcg(subset: Subset | None) -> str:
    return GAP if subset is None else f"{subset.ndcg:.3f}"


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them: 40 ms, 0.4 s, 42 s, 2 m 05 s, 1 h 03 m."""
    if round(seconds, 3) < 0.1:
        return f"{1000 * seconds:.0f} ms"
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} m"


def _facts(board: Board) -> str:
    def count(name: str) -> str:
        lowest, highest = board.counts[name]
        return f"{lowest:,}" if lowest == highest else f"{lowest:,}{TO}{highest:,}"

    facts = [f"fingerprint {str(board.setting.fingerprint)[:12]}", _revision(board.setting)]
    if board.counts:
        queries = ", ".join(f"{count(f'{split}_queries')} {split}" for split in ("train", "dev", "test"))
        facts = [f"{count('documents')} documents", f"{queries} queries", *facts]
    return " · ".join(facts)


def _revision(setting: Setting) -> str:
    settings = f" ({setting.encoder_settings})" if setting.encoder_settings else ""
    return f"encoder revision {str(setting.encoder_revision)[:12]}{settings}"


def _device(setting: Setting) -> str:
    return f"{setting.accelerator}, {_plural(setting.threads, 'thread')}"


def _verdict(board: Board) -> str:
    if board.comparison is None:
        return "Nothing to compare: fewer than two methods are complete."
    best, second = board.rows[:2]
    if best.mark == "winner":
        return f"Winner: {best.method}, significantly above the runner-up, {second.method}."
    *others, last = [row.method for row in board.rows[1:] if row.mark == "tied"]
    below = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    return f"No single winner: {best.method} leads, but {below} not significantly below it."


def _legend(board: Board) -> str:
    compared = board.comparison
    if compared is None:
        return "No tests."
    methods = len(compared.better)
    tests = [
        f"a permutation test of {_plural(compared.clusters, 'cluster')} of queries ({compared.draws:,} sign flips)"
    ]
    if "resampled_t" in compared.tests:
        tests.append(f"the corrected resampled t-test over {len(board.seeds)} splits")
    return (
        f"Bold: the winner, significantly above the runner-up. {TIED}: tied, the best row and all that are not "
        f"significantly below it. {ABOVE}: significantly above {BASELINE}; {BELOW}: below it. "
        f"Significant: p < {LEVEL} after Holm over {_plural(methods * (methods - 1) // 2, 'pair')}, "
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
        return _ndcg(subset) + (f" ({_signed(subset.ndcg - none.ndcg, '.3f')})" if subset and none else "")

    header = ("method", *(f"{bucket.replace('-', TO)} (n = {sizes[bucket]:,})" for bucket in buckets))
    lines = (Line((_clean(method), *(cell(method, bucket) for bucket in buckets)), bold=False) for method in complete)
    caption = (
        f"NDCG@10 (gain over {BASELINE}) by the cosine of a test query to the nearest train query of its relevant "
        "documents; n: test queries, all seeds together"
    )
    return Table(caption, header, tuple(lines)) if len(buckets) > 1 else None


def _notes(board: Board) -> list[str]:
    remarks = [f"{r.method}: {r.status} on {_seeds(r.seeds)}: {r.text}" for r in board.remarks]
    replaced = [
        f"{method}: {_plural(cells, 'cell')} of an older version left out" for method, cells in board.replaced.items()
    ]
    return remarks + replaced


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"seeds {seeds[0]}{TO}{seeds[-1]}"
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _clean(text: str) -> str:
    """One line of printable text: a name must not break a table or drive a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
