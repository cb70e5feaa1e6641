"""Boards → text: the one place that words and formats what a table shows, whoever prints it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.names import BASELINE, BUCKETS, MAIN
from bench.report.board import Board, Figures, Row, Subset
from bench.report.decision_sheet import decision_curves, decision_lines
from bench.report.encodes import Encodes
from bench.report.significance import LEVEL
from bench.report.tables import Line, Table
from bench.report.words import GAP, TO, clean, listed, revision, seed_range, signed, thousandths, title
from bench.words import duration, plural

_NAMED = 3  # methods in a sentence; a table that marks more of them says it better
TIED, ABOVE, BELOW = "≈", "▲", "▼"
INTRODUCTION = (
    "NDCG@10 is the mean over seeds ± half the width of its 95 % t-interval; one seed has none. "
    "The gain is ± half the width of its 95 % interval over queries, clustered by relevant document. "
    "Seen and unseen: NDCG@10 of the test queries that have, or have not, a relevant document with a train query, "
    "pooled over the seeds. "
    "Fit: time from embeddings to a tuned index, averaged over the seeds. "
    f"{GAP} instead of a mean: not every seed has run, and no test includes the method."
)


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
        encodes: documents encoded while training; None when no row counts them.
        notes: on failed, skipped and replaced cells and on others, a line each.
        decision: what to ship, a line a thought; empty until that was decided.
        curves: NDCG@10 by the share of the train queries; None when no decision has them.
    """

    title: str
    facts: str
    verdict: str
    main: Table
    legend: str
    nearest: Table | None
    encodes: Table | None
    notes: tuple[str, ...]
    decision: tuple[str, ...] = ()
    curves: Table | None = None


def sheet(board: Board) -> Sheet:
    """Words one board."""
    return Sheet(
        title=title(board.setting, board.seeds),
        facts=clean(_facts(board)),
        verdict=clean(_verdict(board)),
        main=_main(board),
        legend=_legend(board),
        nearest=_nearest(board),
        encodes=_encodes(board),
        notes=tuple(clean(note) for note in _notes(board)),
        decision=decision_lines(board.decision) if board.decision else (),
        curves=decision_curves(board.decision) if board.decision else None,
    )


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
    width = "" if against.query_half_width is None else f" ± {against.query_half_width:.3f}"
    return f"{mark}{signed(against.gain, '.3f')}{width}{ratio}"


def _ndcg(subset: Subset | None) -> str:
    return thousandths(None if subset is None else subset.ndcg)


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
    complete = {method: figures.subsets for method, figures in board.complete.items()}
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


def _encodes(board: Board) -> Table | None:
    told = [(method, figures, figures.encodes) for method, figures in board.complete.items() if figures.encodes]
    most = max((encodes.total for *_, encodes in told), default=0.0)

    def line(method: str, figures: Figures, encodes: Encodes) -> Line:
        counts = (*encodes.parts.values(), encodes.total)
        fewer = most / encodes.total if encodes.total else None
        off = (max((value for _, value in encodes.checks), default=None), encodes.drift, encodes.tv)
        cells = (
            *(f"{count:,.0f}" for count in counts),
            GAP if fewer is None else f"{fewer:.1f}x",
            *map(thousandths, off),
        )
        ndcg = figures.means[MAIN]
        return Line((clean(method), f"{ndcg:.3f}", *cells), bold=False, values=(ndcg, *counts, fewer, *off))

    caption = (
        "Documents encoded while training, averaged over the seeds: for the first cache, for later ones and in steps; "
        "fewer: than in the row of the most. Dev: the best NDCG@10 of the dev queries. Drift and TV, after the last "
        "step: mean squared distance of cached vectors, corrected if they are, from current ones, and total variation "
        "between the softmax over them and that over current ones"
    )
    header = ("method", "NDCG@10", "cache", "refreshes", "steps", "all", "fewer", "dev", "drift", "TV")
    return Table(caption, header, tuple(line(*row) for row in told)) if told else None


def _notes(board: Board) -> list[str]:
    remarks = [f"{r.method}: {r.status} on {seed_range(r.seeds)}: {r.text}" for r in board.remarks]
    replaced = [
        f"{method}: {plural(cells, 'cell')} of an older version left out" for method, cells in board.replaced.items()
    ]
    return remarks + replaced
