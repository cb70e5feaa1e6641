"""What was published beside what was measured → tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from bench.names import BASELINE
from bench.report.board import Board
from bench.report.factors import Claimed, compare_factors
from bench.report.published import Compared, compare_published, published
from bench.report.tables import Line, Table
from bench.report.words import GAP, clean, device, revision, signed
from bench.words import plural

PUBLISHED = (
    "What papers report, beside the means over the seeds; difference: measured less published. A factor is measured "
    "on one data set, and claimed on the average of others. "
    f"{GAP} instead of an average over several data sets: not all of them have been measured."
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
