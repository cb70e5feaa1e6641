"""The dev metric as an exact step function of how far documents have turned, over the whole range at once.

Between the angles at which documents change places nothing changes, so the rank of every answer, and with it any metric
that is additive over answers, is a step function that can be written down exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from methods._contests import TIE, Events, Turn, find_contests, rank_events
from methods._contract import Judged
from methods._corpus import Corpus
from methods._metrics import Metric
from methods._search import top_k

HAIR = 1e-6  # radians; float32 vectors cannot tell angles that are closer
PAIRS = 2**21  # (answer, competitor) pairs at a time: 16 MB for each float64 array over them


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


def dev_profile(turn: Turn, corpus: Corpus, dev: Judged, metric: Metric, limit: float) -> Profile:
    """The metric's mean over the dev queries that have an answer, for all angles from 0 to `limit` ≤ π.

    Documents that stay are read once, for each query's top k: an answer that they push beyond the cut-off counts
    nothing, wherever the others go.

    Args:
        turn: the documents that turn.
        corpus: all documents at the angle 0.
        dev: m queries with answers.
        metric: what is measured.
        limit: radians.
    """
    dev = replace(dev, vectors=torch.nn.functional.normalize(dev.vectors, dim=1))
    turns = torch.zeros(corpus.n, dtype=torch.bool)
    turns[turn.rows] = True
    staying = top_k(dev.vectors, corpus, metric.k, exclude=dev.exclude, skip=turns)
    answered = dev.relevant.lengths > 0
    answers_a_query = len(dev.relevant.columns) / int(answered.sum())
    size = max(1, int(PAIRS / answers_a_query / (len(turn.rows) + metric.k)))
    unmoved, angles, changes = 0.0, [], []
    for queries in answered.nonzero()[:, 0].split(size):
        some = Judged(
            (),
            dev.vectors[queries],
            None if dev.exclude is None else dev.exclude.take(queries),
            relevant=dev.relevant.take(queries),
        )
        rank, events = rank_events(find_contests(turn, corpus, some, staying.rows[queries], limit, metric.k), limit)
        weights = metric.weights(some.relevant) * _retrievable(some) / int(answered.sum())
        unmoved += float((weights * metric.discount(rank)).sum())
        angle, change = _value_changes(rank, events, metric, weights)
        angles.append(angle)
        changes.append(change)
    return _steps(torch.cat(angles), torch.cat(changes), unmoved, limit)


def _retrievable(queries: Judged) -> Tensor:
    """(p,) bool: whether the query may retrieve its answer."""
    retrievable = torch.ones(len(queries.relevant.columns), dtype=torch.bool)
    if queries.exclude is not None:
        excluded = queries.exclude.take(queries.relevant.rows)
        retrievable[excluded.rows[excluded.columns == queries.relevant.columns[excluded.rows]]] = False
    return retrievable


def _value_changes(rank: Tensor, events: Events, metric: Metric, weights: Tensor) -> tuple[Tensor, Tensor]:
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


def _steps(angles: Tensor, changes: Tensor, unmoved: float, limit: float) -> Profile:
    angles, order = angles.sort()
    starts, counts = angles.unique_consecutive(return_counts=True)
    values = unmoved + changes[order].cumsum(0)[counts.cumsum(0) - 1]
    if not len(starts) or starts[0] > 0.0:
        starts = torch.cat([torch.zeros(1, dtype=torch.float64), starts])
        values = torch.cat([torch.tensor([unmoved], dtype=torch.float64), values])
    return Profile(torch.cat([starts, torch.tensor([limit], dtype=torch.float64)]), values, unmoved)
