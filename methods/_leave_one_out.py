"""The train queries as their own judges: each is scored as if it had never been asked.

A query pulls at its own answers alone, so leaving it out changes those and no other document: the sum of an answer
becomes g - q, and a document that nobody else asks for stays where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from methods._contenders import Screen
from methods._contests import Events, precedes
from methods._contract import Problem
from methods._corpus import Corpus, position
from methods._csr import Csr
from methods._metrics import Metric
from methods._nudge import CHUNK, Sums, counted, turn_to
from methods._profile import Profile, steps, value_changes
from methods._queries import Judged
from methods._search import document_dots, pair_dots, top_k

SINK = 2.0  # the largest offset: it puts any unit vector below every other


def turned(stop: Tensor, queries: Tensor, gamma: float, power: float) -> Tensor:
    """How far v has turned towards ĝ at the direction of v + γ·nᵃ·ĝ, in radians, of the shape of `stop`.

    Args:
        stop: the angle between v and ĝ; 0 where they are parallel.
        queries: n, the number of train queries.
        gamma: γ.
        power: a.
    """
    step = gamma * queries.double() ** power
    return torch.atan2(step * stop.sin(), 1.0 + step * stop.cos())


@dataclass(frozen=True)
class Ladder:
    """All pairs of a γ and an a.

    Attributes:
        gammas: ascending.
        powers: the a.
    """

    gammas: tuple[float, ...]
    powers: tuple[float, ...]

    def rungs(self) -> list[tuple[float, float]]:
        """Every (γ, a)."""
        return list(product(self.gammas, self.powers))

    def looks(self) -> list[list[tuple[float, float]]]:
        """For each a every other γ, the first and the last included."""
        gammas = [*self.gammas[:-1:2], self.gammas[-1]] if len(self.gammas) > 1 else 2 * self.gammas
        return [[(gamma, power) for gamma in gammas] for power in self.powers]


@dataclass(frozen=True)
class Pairs:
    """Pairs of a query and a document, as far as scores go.

    Attributes:
        a: (e,) float64, q·v.
        b: (e,) float64, q·u with u where the document turns to.
        stop: (e,) float64, the angle at which it would arrive.
        queries: (e,) int64, its train queries; without any it neither turns nor sinks.
        priority: (e,) int64.
    """

    a: Tensor
    b: Tensor
    stop: Tensor
    queries: Tensor
    priority: Tensor

    @classmethod
    def concatenated(cls, *parts: Pairs) -> Pairs:
        """The pairs of one after those of the other."""
        return cls(*(torch.cat(columns) for columns in zip(*(vars(part).values() for part in parts), strict=True)))

    def scores(self, gamma: float, power: float) -> Tensor:
        """(e,) float64, before anything sinks."""
        angle = turned(self.stop, self.queries, gamma, power)
        return angle.cos() * self.a + angle.sin() * self.b


@dataclass(frozen=True)
class LeaveOneOut:
    """All that decides the metric of the train queries, each left out in its turn.

    Attributes:
        pairs: the p answers, each without its query, and then everything that can precede one of them.
        answer: (c,) int64, for each contest the answer, a place in `pairs`.
        other: (c,) int64, its competitor.
        weights: (p,) float64, what each answer adds to the metric at rank 1.
        metric: what is measured.
    """

    pairs: Pairs
    answer: Tensor
    other: Tensor
    weights: Tensor
    metric: Metric

    def profile(self, gamma: float, power: float) -> Profile:
        """The metric as a function of the offset from 0 to `SINK`, exactly.

        Documents with train queries sink together, so the order changes only between one that sinks and one that does
        not, once, where the offset is the difference of their scores.
        """
        scores, priority = self.pairs.scores(gamma, power), self.pairs.priority
        lead = scores[self.other] - scores[self.answer]
        ahead = precedes(lead, priority[self.other], priority[self.answer])
        rank = 1 + torch.bincount(self.answer[ahead], minlength=len(self.weights))
        sinks = self.pairs.queries > 0
        passes = sinks[self.answer] & ~sinks[self.other] & ~ahead
        falls = ~sinks[self.answer] & sinks[self.other] & ahead
        events = Events(lead[passes | falls].abs(), self.answer[passes | falls], passes[passes | falls].long() * 2 - 1)
        unmoved = float((self.weights * self.metric.discount(rank)).sum())
        return steps(*value_changes(rank, events, self.metric, self.weights), unmoved, SINK)


def leave_one_out(
    problem: Problem, sums: Sums, vectors: Tensor, metric: Metric, ladder: Ladder, *, unit_queries: bool
) -> LeaveOneOut:
    """Finds what can matter at any rung, in one pass over the documents without train queries.

    Args:
        problem: of which only the train queries are asked.
        sums: of all t documents that have train queries.
        vectors: (t, d) float32, these documents.
        metric: what is measured.
        ladder: the γ and a that will be tried.
        unit_queries: how queries were added up.
    """
    train, corpus = problem.train.answered(), problem.corpus
    staying = top_k(train.vectors, corpus, metric.k, exclude=train.exclude, skip=sums.rows, device=problem.device)
    towards, stop = turn_to(vectors, sums.direction)
    looks = [torch.stack([turned(stop, sums.queries, *rung) for rung in way]) for way in ladder.looks()]
    screen = Screen(
        vectors.to(problem.device),
        towards.float().to(problem.device),
        torch.stack(looks).float().to(problem.device),
        torch.ones(len(looks[0]), device=problem.device),
    )
    query, place = screen.contenders(train.vectors, staying.scores, _barred(train, sums.rows), metric.k)
    priority = torch.from_numpy(corpus.priority)
    turning = Pairs(
        pair_dots(train.vectors, query, vectors, place),
        pair_dots(train.vectors, query, towards, place),
        stop[place],
        sums.queries[place],
        priority[sums.rows[place]],
    )
    stay_query, stay_rows = (staying.rows >= 0).nonzero()[:, 0], staying.rows[staying.rows >= 0]
    others = _unturned(train.vectors, stay_query, corpus, stay_rows)
    own = _own_answers(problem, train, sums, vectors, unit_queries=unit_queries)
    competes = train.retrievable()
    of = torch.cat([train.relevant.rows[competes], query, stay_query])
    known = torch.cat([competes.nonzero()[:, 0], len(competes) + torch.arange(len(query) + len(stay_query))])
    against = Csr.from_pairs(of, known, len(train)).take(train.relevant.rows)
    weights = metric.weights(train.relevant) * competes / len(train)
    return LeaveOneOut(Pairs.concatenated(own, turning, others), against.rows, against.columns, weights, metric)


def _barred(train: Judged, turning: Tensor) -> Csr:
    """Places of the documents that turn otherwise for their query, its answers, or that it must not retrieve."""
    lists = [listed.among(turning) for listed in (train.relevant, train.exclude) if listed is not None]
    rows, columns = (torch.cat([getattr(listed, name) for listed in lists]) for name in ("rows", "columns"))
    return Csr.from_pairs(rows, columns, len(train))


def _unturned(queries: Tensor, query: Tensor, corpus: Corpus, rows: Tensor) -> Pairs:
    """Documents that stay where they are."""
    a = document_dots(queries, query, corpus, rows)
    return Pairs(
        a, torch.zeros_like(a), torch.zeros_like(a), torch.zeros_like(rows), torch.from_numpy(corpus.priority)[rows]
    )


def _own_answers(problem: Problem, train: Judged, sums: Sums, vectors: Tensor, *, unit_queries: bool) -> Pairs:
    """The answers of each train query, where the other queries alone would have them."""
    relevant, asked = train.relevant, problem.train.relevant.rows
    pairs = _unturned(train.vectors, relevant.rows, problem.corpus, relevant.columns)
    turns, place = position(sums.rows, relevant.columns)
    for some in turns.nonzero()[:, 0].split(CHUNK):
        at = place[some]
        rest = sums.direction[at] * sums.length[at, None]
        rest -= counted(problem.train.vectors[asked[some]], unit_queries)
        length = rest.norm(dim=1)
        left = (sums.queries[at] > 1) & (length > 1e-9 * sums.length[at])
        towards, stop = turn_to(vectors[at], torch.where(left[:, None], rest / length[:, None], 0.0))
        pairs.b[some] = (train.vectors[relevant.rows[some]] * towards).sum(1)
        pairs.stop[some] = stop
        pairs.queries[some] = torch.where(left, sums.queries[at] - 1, 0)
    return pairs
