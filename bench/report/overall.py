"""Boards → standings over all data sets of one encoder on one device, as numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.names import BASELINE
from bench.report.board import Board, Figures, mean_if_known
from bench.report.entrants import Setting
from bench.report.significance import FloatArray, IntArray, t_half_width


@dataclass(frozen=True)
class Averages:
    """What a method reached on all data sets; each weighs alike.

    Attributes:
        gain: mean over the data sets of the gain in NDCG@10 over the baseline.
        half_width: of the 95 % t-interval of the gain over seeds, these data sets being given: the seeds of two data
            sets are independent samples of the difference to the baseline. None when a data set has a single seed.
        rank: mean of the ranks by NDCG@10 among the methods that have figures here, 1 the best; equal ones share the
            mean of their ranks.
        wins: in how many pairs of a data set and another method that has figures here it is significantly above.
        ties: in how many neither is.
        losses: in how many it is significantly below.
        fit_seconds: mean over the data sets; None when one is not known.
        efficient: whether it is on the Pareto frontier of gain and `fit_seconds`.
    """

    gain: float
    half_width: float | None
    rank: float
    wins: int
    ties: int
    losses: int
    fit_seconds: float | None
    efficient: bool


@dataclass(frozen=True)
class Standing:
    """One method.

    Attributes:
        method: its label.
        done: on how many of the data sets it is complete.
        averages: None when that is not all of them.
    """

    method: str
    done: int
    averages: Averages | None


@dataclass(frozen=True)
class Overall:
    """Standings over two data sets or more.

    Attributes:
        setting: what the boards share; its `dataset` and its `fingerprint` are empty.
        datasets: over which is averaged, in the order of the boards.
        standings: those with averages by their gain, the highest first, then the gaps by label.
        left_out: data set → why it is not among them.
    """

    setting: Setting
    datasets: tuple[str, ...]
    standings: tuple[Standing, ...]
    left_out: dict[str, str]


def overall(boards: Sequence[Board]) -> list[Overall]:
    """Averages over boards that nothing but the data set tells apart, in the order of the boards.

    A data set counts when the baseline is complete on it; one of which there are two such versions is left out,
    since nothing says which of them is meant. One data set alone has no average, nor has the baseline alone.
    """
    groups: dict[Setting, list[Board]] = defaultdict(list)
    for board in boards:
        groups[replace(board.setting, dataset="", fingerprint="")].append(board)
    chosen = [(setting, *_chosen(group)) for setting, group in groups.items()]
    found = [
        Overall(setting, tuple(board.setting.dataset for board in group), _standings(group), left_out)
        for setting, group, left_out in chosen
        if len(group) > 1
    ]
    return [each for each in found if sum(standing.averages is not None for standing in each.standings) > 1]


def pareto(gains: FloatArray, costs: FloatArray) -> list[bool]:
    """Of (n,) gains and costs, which are not dominated: no other gains as much for less, or more for as much.

    A cost that is not a number dominates nothing and is not on the frontier.
    """
    as_good = (gains[:, None] >= gains) & (costs[:, None] <= costs)
    better = as_good & ((gains[:, None] > gains) | (costs[:, None] < costs))
    return [bool(efficient) for efficient in ~better.any(0) & ~np.isnan(costs)]


def efficient(points: Mapping[str, tuple[float, float | None]]) -> set[str]:
    """The methods on the Pareto frontier of their (gain, fit seconds)."""
    gains = np.array([gain for gain, _ in points.values()], np.float64)
    costs = np.array([seconds for _, seconds in points.values()], np.float64)  # None becomes not a number
    return {method for method, kept in zip(points, pareto(gains, costs), strict=True) if kept}


def gains_and_costs(board: Board) -> dict[str, tuple[float, float | None]]:
    """The gain and the fit seconds of every complete row; empty where the baseline is not complete."""
    complete = board.complete
    if BASELINE not in complete:
        return {}
    gains = {row.method: row.against.gain if row.against else 0.0 for row in board.rows}
    return {method: (gains[method], figures.fit_seconds) for method, figures in complete.items()}


def _chosen(boards: Sequence[Board]) -> tuple[list[Board], dict[str, str]]:
    with_baseline: dict[str, list[Board]] = {board.setting.dataset: [] for board in boards}
    for board in boards:
        if BASELINE in board.complete:
            with_baseline[board.setting.dataset].append(board)
    left_out = {
        name: f"{BASELINE} is not complete" if not found else "there are several versions of its data"
        for name, found in with_baseline.items()
        if len(found) != 1
    }
    return [found[0] for found in with_baseline.values() if len(found) == 1], left_out


def _standings(boards: Sequence[Board]) -> tuple[Standing, ...]:
    complete = [board.complete for board in boards]
    done = {row.method: 0 for board in boards for row in board.rows}
    for figures in complete:
        for method in figures:
            done[method] += 1
    everywhere = [method for method in done if done[method] == len(boards)]
    averages = _averages(boards, complete, everywhere)
    ranked = sorted(everywhere, key=lambda method: (-averages[method].gain, method))
    gaps = sorted(set(done) - set(everywhere))
    return tuple(Standing(method, done[method], averages.get(method)) for method in (*ranked, *gaps))


def _averages(
    boards: Sequence[Board], complete: Sequence[Mapping[str, Figures]], methods: Sequence[str]
) -> dict[str, Averages]:
    """The averages of methods that are complete on all boards; the baseline is among them."""
    by_seed = {m: [np.array(figures[m].by_seed) - figures[BASELINE].by_seed for figures in complete] for m in methods}
    gains = {method: float(np.mean([sample.mean() for sample in by_seed[method]])) for method in methods}
    seconds = {method: mean_if_known([figures[method].fit_seconds for figures in complete]) for method in methods}
    levels = np.array([[np.mean(figures[method].by_seed) for method in methods] for figures in complete])
    ranks = _ranks(levels).mean(0)
    wins, losses = _wins_and_losses(boards, methods)
    pairs = len(boards) * (len(methods) - 1)
    frontier = efficient({method: (gains[method], seconds[method]) for method in methods})
    return {
        method: Averages(
            gain=gains[method],
            half_width=None if method == BASELINE else t_half_width(*by_seed[method]),
            rank=float(ranks[i]),
            wins=int(wins[i]),
            ties=int(pairs - wins[i] - losses[i]),
            losses=int(losses[i]),
            fit_seconds=seconds[method],
            efficient=method in frontier,
        )
        for i, method in enumerate(methods)
    }


def _ranks(levels: FloatArray) -> FloatArray:
    """Of (boards, methods) levels, the (boards, methods) ranks."""
    above = (levels[:, None, :] > levels[:, :, None]).sum(2)
    equal = (levels[:, None, :] == levels[:, :, None]).sum(2)
    ranks: FloatArray = above + (equal + 1) / 2
    return ranks


def _wins_and_losses(boards: Sequence[Board], methods: Sequence[str]) -> tuple[IntArray, IntArray]:
    wins = losses = np.zeros(len(methods), np.intp)
    for board in boards:
        if board.comparison:
            places = list(board.complete)
            among = np.ix_(*[[places.index(method) for method in methods]] * 2)
            wins = wins + board.comparison.better[among].sum(1)
            losses = losses + board.comparison.better[among].sum(0)
    return wins, losses
