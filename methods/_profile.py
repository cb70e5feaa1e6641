"""The dev metric as an exact step function of how far documents have turned, over the whole range at once.

Every document turns from its place v towards a unit direction u: at the angle θ it is at cosθ'·v + sinθ'·u with
θ' = min(θ, stop). Its score for a query is then cosθ'·a + sinθ'·b, with a = q·v and b = q·u, and the order of two
documents changes at a handful of angles that have a closed form. Between them nothing changes, so the rank of every
answer, and with it any metric that is additive over answers, is a step function that can be written down exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from methods._contract import Judged
from methods._corpus import Corpus
from methods._metrics import Metric
from methods._search import Ranking, top_k

TIE = 1e-12  # two scores of unit vectors in float64 that differ by less are equal
HAIR = 1e-6  # radians; float32 vectors cannot tell angles that are closer
PAIRS = 2**21  # (answer, competitor) pairs at a time: 16 MB for each float64 array over them


@dataclass(frozen=True)
class Turn:
    """Documents that turn, the others stay.

    Attributes:
        rows: (t,) int64 document rows, ascending.
        start: (t, d) float64, v.
        towards: (t, d) float64, u.
        stop: (t,) float64, the angle in radians at which each document arrives.
        stop_of_others: the same for all other documents, whose u is zero: 0 leaves them where they are, infinity
            lets their score shrink to cosθ·a with that of everyone.
    """

    rows: Tensor
    start: Tensor
    towards: Tensor
    stop: Tensor
    stop_of_others: float = 0.0

    def at(self, angle: float) -> Tensor:
        """(t, d) float64: where the documents are."""
        turned = self.stop.clamp(max=angle)[:, None]
        return turned.cos() * self.start + turned.sin() * self.towards


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
        answers, competitors = _curves(turn, corpus, dev, staying, queries)
        weights = metric.weights(dev.relevant.take(queries)) * answers.exists[:, 0] / int(answered.sum())
        rank, events = _rank_events(answers, competitors, limit, metric.k)
        unmoved += float((weights * metric.discount(rank)).sum())
        angle, change = _value_changes(rank, events, metric, weights)
        angles.append(angle)
        changes.append(change)
    return _steps(torch.cat(angles), torch.cat(changes), unmoved, limit)


@dataclass(frozen=True)
class _Curves:
    """Scores as functions of the angle, (p, 1) for p answers or (p, c) for their competitors.

    Attributes:
        a: score at the angle 0.
        b: score in the direction of the turn.
        stop: the angle of arrival; 0 for a document that stays.
        priority: the smaller goes first among equal scores.
        exists: False for what the query cannot retrieve, and for a competitor that is the answer itself.
    """

    a: Tensor
    b: Tensor
    stop: Tensor
    priority: Tensor
    exists: Tensor

    def score(self, angle: Tensor) -> Tensor:
        turned = torch.minimum(angle, self.stop)
        return turned.cos() * self.a + turned.sin() * self.b

    def range(self, limit: float) -> tuple[Tensor, Tensor]:
        """The lowest and the highest score over the angles from 0 to `limit`."""
        end = self.stop.clamp(max=limit)
        last = end.cos() * self.a + end.sin() * self.b
        peak, radius = torch.atan2(self.b, self.a), torch.hypot(self.a, self.b)
        low, high = torch.minimum(self.a, last), torch.maximum(self.a, last)
        return (
            torch.where(peak + torch.pi <= end, -radius, low),
            torch.where((peak >= 0) & (peak <= end), radius, high),
        )

    def pick(self, at: tuple[Tensor, Tensor]) -> _Curves:
        """The curves at (rows, columns), each (e,)."""
        return _Curves(*(value[at] for value in vars(self).values()))


@dataclass(frozen=True)
class _Events:
    """Changes of answers' ranks.

    Attributes:
        angle: (e,) radians.
        answer: (e,) int64.
        change: (e,) int64, +1 when a competitor comes to lie ahead of the answer, -1 when it falls behind.
    """

    angle: Tensor
    answer: Tensor
    change: Tensor


def _curves(turn: Turn, corpus: Corpus, dev: Judged, staying: Ranking, queries: Tensor) -> tuple[_Curves, _Curves]:
    """The answers of some queries, in the order of their judgements, and each answer's competitors."""
    relevant = dev.relevant.take(queries)
    of, row = relevant.rows, relevant.columns
    vectors = dev.vectors[queries].double()
    a, b = vectors @ turn.start.T, vectors @ turn.towards.T
    staying_rows = staying.rows[queries]
    staying_a = torch.einsum("qkd,qd->qk", _gathered(corpus, staying_rows.clamp(min=0)), vectors)[of]
    rows = torch.cat([turn.rows.expand(len(of), -1), staying_rows[of]], dim=1)
    still = torch.zeros_like(staying_a)
    stop_of_others = torch.full_like(still, turn.stop_of_others)
    exists = (rows != row[:, None]) & (rows >= 0)
    turned, place = _position(turn.rows, row)
    unturned = (vectors[of] * corpus.rows(row).double()).sum(1)
    retrievable = torch.ones(len(of), dtype=torch.bool)
    if dev.exclude is not None:
        excluded = dev.exclude.take(queries).take(of)
        hit, where = _position(turn.rows, excluded.columns)
        exists[excluded.rows[hit], where[hit]] = False
        retrievable[excluded.rows[excluded.columns == row[excluded.rows]]] = False
    priority = torch.from_numpy(corpus.priority)
    answers = _Curves(
        torch.where(turned, a[of, place], unturned)[:, None],
        torch.where(turned, b[of, place], 0.0)[:, None],
        torch.where(turned, turn.stop[place], turn.stop_of_others)[:, None],
        priority[row][:, None],
        retrievable[:, None],
    )
    competitors = _Curves(
        torch.cat([a[of], staying_a], dim=1),
        torch.cat([b[of], still], dim=1),
        torch.cat([turn.stop.expand(len(of), -1), stop_of_others], dim=1),
        priority[rows],
        exists,
    )
    return answers, competitors


def _gathered(corpus: Corpus, rows: Tensor) -> Tensor:
    """(…, d) float64 document vectors for rows of any shape."""
    return corpus.rows(rows.flatten()).double().reshape(*rows.shape, corpus.d)


def _position(ascending: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each value is among the ascending ones, and a valid index that is its own if so."""
    place = torch.searchsorted(ascending, values).clamp(max=len(ascending) - 1)
    return ascending[place] == values, place


def _rank_events(answers: _Curves, competitors: _Curves, limit: float, k: int) -> tuple[Tensor, _Events]:
    """Each answer's rank at the angle 0, (p,) int64, and every later change of it.

    Only competitors whose range of scores overlaps the answer's can change places with it, and only an answer that
    fewer than k documents always precede can come into the first k. For the others, the order of two documents is
    constant between two breakpoints, so one look half-way tells it; a root that is not a crossing, or was computed
    where the curves touch, then does no harm.
    """
    low, high = competitors.range(limit)
    answer_low, answer_high = answers.range(limit)
    always = competitors.exists & (low > answer_high + TIE)
    rank = 1 + always.sum(1)
    contested = competitors.exists & ~always & (high >= answer_low - TIE) & (rank <= k)[:, None]
    answer, competitor = contested.nonzero(as_tuple=True)
    answers, competitors = answers.pick((answer, torch.zeros_like(answer))), competitors.pick((answer, competitor))
    left = torch.zeros(len(answer), dtype=torch.float64)
    ahead = _ahead(answers, competitors, left)
    rank += torch.bincount(answer[ahead], minlength=len(rank))
    angles, pairs, changes = [], [], []
    for right in (*_breakpoints(answers, competitors, limit), torch.full_like(left, limit)):
        now = torch.where(right > left, _ahead(answers, competitors, (left + right) / 2), ahead)
        flipped = now != ahead
        angles.append(left[flipped])
        pairs.append(answer[flipped])
        changes.append(now[flipped].long() * 2 - 1)
        left, ahead = right, now
    return rank, _Events(torch.cat(angles), torch.cat(pairs), torch.cat(changes))


def _ahead(answers: _Curves, competitors: _Curves, angle: Tensor) -> Tensor:
    """(e,) bool: whether each competitor is ranked before its answer."""
    lead = competitors.score(angle) - answers.score(angle)
    return torch.where(lead.abs() <= TIE, competitors.priority < answers.priority, lead > 0)


def _breakpoints(answers: _Curves, competitors: _Curves, limit: float) -> tuple[Tensor, ...]:
    """Five times (e,) angles, ascending, among them all at which the order can change.

    While both move, (a_j − a_x)·cosθ + (b_j − b_x)·sinθ = 0; when one has arrived at the score K, the other crosses
    it where A·cosθ + B·sinθ = K, that is at atan2(B, A) ± arccos(K / √(A² + B²)).
    """
    first = torch.minimum(answers.stop, competitors.stop)
    last = torch.maximum(answers.stop, competitors.stop)
    both = torch.atan2(answers.a - competitors.a, competitors.b - answers.b).remainder(torch.pi)
    later = competitors.stop > answers.stop
    a, b = torch.where(later, competitors.a, answers.a), torch.where(later, competitors.b, answers.b)
    arrived = torch.where(later, answers.score(first), competitors.score(first))
    peak = torch.atan2(b, a)
    aside = (arrived / torch.hypot(a, b).clamp(min=TIE)).clamp(-1.0, 1.0).arccos()
    points = torch.stack([both, first, (peak - aside) % (2 * torch.pi), (peak + aside) % (2 * torch.pi), last])
    return points.clamp(max=limit).sort(dim=0).values.unbind()


def _value_changes(rank: Tensor, events: _Events, metric: Metric, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The angles at which the metric changes, and by how much."""
    order = events.angle.argsort(stable=True)
    order = order[events.answer[order].argsort(stable=True)]
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
