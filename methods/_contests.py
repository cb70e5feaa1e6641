"""Documents that turn, and at which angles they change places for a query.

Every document turns from its place v towards a unit direction u: at the angle θ it is at cosθ'·v + sinθ'·u with
θ' = min(θ, stop). Its score for a query is then cosθ'·a + sinθ'·b, with a = q·v and b = q·u, and the order of two
documents changes at a handful of angles that have a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from methods._corpus import Corpus, position
from methods._csr import Csr
from methods._queries import Judged
from methods._search import document_dots, pair_dots

TIE = 1e-12  # two scores of unit vectors in float64 that differ by less are equal


@dataclass(frozen=True)
class Turn:
    """Documents that turn, the others stay.

    Attributes:
        rows: (t,) int64 document rows, ascending.
        start: (t, d) float32, v.
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
class Curves:
    """Scores as functions of the angle; the fields broadcast against each other.

    Attributes:
        a: float64, score at the angle 0.
        b: float64, score in the direction of the turn.
        stop: float64, the angle of arrival; 0 for a document that stays.
        priority: int64, the smaller goes first among equal scores.
    """

    a: Tensor
    b: Tensor
    stop: Tensor
    priority: Tensor

    def score(self, angle: Tensor) -> Tensor:
        turned = torch.minimum(angle, self.stop)
        return turned.cos() * self.a + turned.sin() * self.b

    def __getitem__(self, rows: Tensor) -> Curves:
        return Curves(self.a[rows], self.b[rows], self.stop[rows], self.priority[rows])


@dataclass(frozen=True)
class Contests:
    """Pairs of an answer and a competitor, whose order may depend on the angle.

    Attributes:
        answers: the number of answers.
        answer: (e,) int64, the answer in each contest.
        own: (e,) curves of the answers.
        other: (e,) curves of the competitors.
    """

    answers: int
    answer: Tensor
    own: Curves
    other: Curves


@dataclass(frozen=True)
class Events:
    """Changes of answers' ranks.

    Attributes:
        angle: (e,) radians.
        answer: (e,) int64.
        change: (e,) int64, +1 when a competitor comes to lie ahead of the answer, -1 when it falls behind.
    """

    angle: Tensor
    answer: Tensor
    change: Tensor


def hold_contests(turn: Turn, corpus: Corpus, queries: Judged, staying: Tensor, contenders: Csr) -> Contests:
    """Sets every answer of a query against everything that can precede it; it never precedes itself.

    Args:
        turn: the t documents that turn.
        corpus: all documents.
        queries: q queries with p answers.
        staying: (q, k) int64, the best of the documents that stay; -1 where there is none.
        contenders: q rows of places in `turn`: the others that can come among the first k.
    """
    query = torch.cat([contenders.rows, (staying >= 0).nonzero()[:, 0]])
    row = torch.cat([turn.rows[contenders.columns], staying[staying >= 0]])
    against = Csr.from_pairs(query, torch.arange(len(query)), len(queries)).take(queries.relevant.rows)
    own = _curves(turn, corpus, queries.vectors, queries.relevant.rows, queries.relevant.columns)
    other = _curves(turn, corpus, queries.vectors, query, row)
    return Contests(len(own.a), against.rows, own[against.rows], other[against.columns])


def _curves(turn: Turn, corpus: Corpus, queries: Tensor, query: Tensor, row: Tensor) -> Curves:
    """(e,) curves of documents, for one query each."""
    a = document_dots(queries, query, corpus, row)
    turns, place = position(turn.rows, row)
    b = torch.zeros_like(a)
    b[turns] = pair_dots(queries, query[turns], turn.towards, place[turns])
    stop = torch.where(turns, turn.stop[place], turn.stop_of_others)
    return Curves(a, b, stop, torch.from_numpy(corpus.priority)[row])


def rank_events(contests: Contests, limit: float) -> tuple[Tensor, Events]:
    """Each answer's rank at the angle 0, (p,) int64, and every later change of it.

    The order of two documents is constant between two breakpoints, so one look half-way tells it; a root that is not
    a crossing, or was computed where the curves touch, then does no harm.
    """
    answer, own, other = contests.answer, contests.own, contests.other
    left = torch.zeros(len(answer), dtype=torch.float64)
    ahead = _ahead(own, other, left)
    rank = 1 + torch.bincount(answer[ahead], minlength=contests.answers)
    angles, pairs, changes = [left[:0]], [answer[:0]], [answer[:0]]
    for right in (*_breakpoints(own, other, limit), torch.full_like(left, limit)):
        wide = right > left
        if not wide.any():
            continue
        now = torch.where(wide, _ahead(own, other, (left + right) / 2), ahead)
        flipped = now != ahead
        angles.append(left[flipped])
        pairs.append(answer[flipped])
        changes.append(now[flipped].long() * 2 - 1)
        left, ahead = right, now
    return rank, Events(torch.cat(angles), torch.cat(pairs), torch.cat(changes))


def _ahead(own: Curves, other: Curves, angle: Tensor) -> Tensor:
    """(e,) bool: whether each competitor is ranked before its answer."""
    return precedes(other.score(angle) - own.score(angle), other.priority, own.priority)


def precedes(lead: Tensor, priority: Tensor, of_other: Tensor) -> Tensor:
    """(e,) bool: whether a document whose score is higher by `lead` is ranked before the other one of a pair."""
    return torch.where(lead.abs() <= TIE, priority < of_other, lead > 0)


def _breakpoints(own: Curves, other: Curves, limit: float) -> tuple[Tensor, ...]:
    """Five times (e,) angles, ascending, among them all at which the order can change.

    While both move, (a_j − a_x)·cosθ + (b_j − b_x)·sinθ = 0; when one has arrived at the score K, the other crosses
    it where A·cosθ + B·sinθ = K, that is at atan2(B, A) ± arccos(K / √(A² + B²)).
    """
    first = torch.minimum(own.stop, other.stop).clamp(max=limit)
    last = torch.maximum(own.stop, other.stop).clamp(max=limit)
    both = torch.atan2(own.a - other.a, other.b - own.b).remainder(torch.pi)
    if not (last > first).any():
        return torch.minimum(both, first), first
    later = other.stop > own.stop
    a, b = torch.where(later, other.a, own.a), torch.where(later, other.b, own.b)
    arrived = torch.where(later, own.score(first), other.score(first))
    peak = torch.atan2(b, a)
    aside = (arrived / torch.hypot(a, b).clamp(min=TIE)).clamp(-1.0, 1.0).arccos()
    roots = [torch.minimum(torch.maximum(root % (2 * torch.pi), first), last) for root in (peak - aside, peak + aside)]
    return torch.minimum(both, first), first, torch.minimum(*roots), torch.maximum(*roots), last
