"""The dev metric as an exact step function of how far documents have turned, over the whole range at once.

Between the angles at which documents change places nothing changes, so the rank of every answer, and with it any metric
that is additive over answers, is a step function that can be written down exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from methods._contenders import Screen
from methods._contests import TIE, Events, Turn, hold_contests, rank_events
from methods._contract import Problem
from methods._csr import Csr
from methods._metrics import Metric
from methods._search import top_k

HAIR = 1e-6  # radians; float32 vectors cannot tell angles that are closer
STRIDE = math.pi / 16  # radians between two looks at what can come among the first k
CONTESTS = 2**16  # at a time: 0.5 MB for each float64 array over them


@dataclass(frozen=True)
class Plateau:
    """Angles from `left` to `right`, in radians, between which the metric has one value."""

    left: float
    right: float
    value: float

    @property
    def width(self) -> float:
        """Radians."""
        return self.right - self.left

    @property
    def middle(self) -> float:
        """Radians."""
        return (self.left + self.right) / 2


@dataclass(frozen=True)
class Profile:
    """A step function of the angle.

    Attributes:
        edges: (p + 1,) float64, ascending, from 0 to the limit.
        values: (p,) float64, the metric between two edges.
        unmoved: the metric at the angle 0 itself.
    """

    edges: Tensor
    values: Tensor
    unmoved: float

    def best(self) -> Plateau:
        """The widest plateau with the best value; the angle 0 alone when nothing is better than not to move."""
        width = self.edges.diff()
        values = torch.where(width > HAIR, self.values, -torch.inf)
        top = max(float(values.max()), self.unmoved)
        if self.unmoved > top - TIE:
            return Plateau(0.0, 0.0, self.unmoved)
        at = int(torch.where(values > top - TIE, width, -1.0).argmax())
        return Plateau(float(self.edges[at]), float(self.edges[at + 1]), float(values[at]))

    def first_best(self) -> Plateau:
        """The plateau with the best value and the smallest angle, however narrow."""
        at = int((self.values > float(self.values.max()) - TIE).nonzero()[0])
        return Plateau(float(self.edges[at]), float(self.edges[at + 1]), float(self.values[at]))

    def at(self, angles: Tensor) -> Tensor:
        """The metric at each angle, (k,) float64."""
        place = (torch.searchsorted(self.edges, angles, right=True) - 1).clamp(max=len(self.values) - 1)
        return torch.where(angles == 0.0, self.unmoved, self.values[place])


def dev_profile(turn: Turn, problem: Problem, metric: Metric, limit: float) -> Profile:
    """The metric's mean over the dev queries that have an answer, for all angles from 0 to `limit` ≤ π.

    Documents that stay are read once, for each query's top k: an answer that they push beyond the cut-off counts
    nothing, wherever the others go.

    Args:
        turn: the documents that turn.
        problem: with all documents at the angle 0.
        metric: what is measured.
        limit: radians.
    """
    dev, corpus = problem.dev.answered(), problem.corpus
    staying = top_k(dev.vectors, corpus, metric.k, exclude=dev.exclude, skip=turn.rows, device=problem.device)
    barred = Csr.from_rows([[]] * len(dev)) if dev.exclude is None else dev.exclude.among(turn.rows)
    found = _screen(turn, limit, problem.device).contenders(dev.vectors, staying.scores, barred, metric.k)
    contenders = Csr.from_pairs(*found, len(dev))
    unmoved, angles, changes = 0.0, [], []
    for some in _parts((contenders.lengths + metric.k) * dev.relevant.lengths):
        part = dev.take(some)
        contests = hold_contests(turn, corpus, part, staying.rows[some], contenders.take(some))
        rank, events = rank_events(contests, limit)
        weights = metric.weights(part.relevant) * part.retrievable() / len(dev)
        unmoved += float((weights * metric.discount(rank)).sum())
        angle, change = value_changes(rank, events, metric, weights)
        angles.append(angle)
        changes.append(change)
    return steps(torch.cat(angles), torch.cat(changes), unmoved, limit)


def _screen(turn: Turn, limit: float, device: torch.device) -> Screen:
    """Looks from 0 until nothing turns any more, at most `STRIDE` apart."""
    end = min(limit, max(float(turn.stop.max()), turn.stop_of_others))
    looks = torch.linspace(0.0, end, 2 + int(end / STRIDE), dtype=torch.float64)
    return Screen(
        turn.start.to(device),
        turn.towards.float().to(device),
        torch.minimum(looks[:, None], turn.stop).float()[None].to(device),
        looks.clamp(max=turn.stop_of_others).cos().clamp(min=0.0).float().to(device),
    )


def _parts(work: Tensor) -> tuple[Tensor, ...]:
    """Rows in order, in parts of about `CONTESTS` by the work on each, (m,) int64."""
    parts = (work.cumsum(0) // CONTESTS).unique_consecutive(return_counts=True)[1]
    return tuple(torch.arange(len(work)).split(parts.tolist()))


def value_changes(rank: Tensor, events: Events, metric: Metric, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The angles at which the metric changes, and by how much."""
    order = (events.answer + events.angle / 4).argsort()  # by answer, then by angle, which is below 4
    answer, change = events.answer[order], events.change[order]
    summed = change.cumsum(0)
    firsts = torch.searchsorted(answer, torch.arange(len(rank)))
    before_first = torch.cat([torch.zeros(1, dtype=torch.int64), summed])[firsts]
    after = rank[answer] + summed - before_first[answer]
    value = weights[answer] * (metric.discount(after) - metric.discount(after - change))
    changed = value != 0.0
    return events.angle[order][changed], value[changed]


def steps(angles: Tensor, changes: Tensor, unmoved: float, limit: float) -> Profile:
    """The function that starts from `unmoved` and changes by each of (e,) changes at its angle."""
    angles, order = angles.sort()
    starts, counts = angles.unique_consecutive(return_counts=True)
    values = unmoved + changes[order].cumsum(0)[counts.cumsum(0) - 1]
    if not len(starts) or starts[0] > 0.0:
        starts = torch.cat([torch.zeros(1, dtype=torch.float64), starts])
        values = torch.cat([torch.tensor([unmoved], dtype=torch.float64), values])
    return Profile(torch.cat([starts, torch.tensor([limit], dtype=torch.float64)]), values, unmoved)
