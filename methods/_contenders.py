"""Which documents can come among a query's first k at all while documents turn: a few dozen of a hundred thousand.

Changes of place among them are all that a metric at k can see. Scores are bounded in float32 from a few angles, with
room for rounding; exact ones are then needed for the pairs that are left, and for no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from methods._csr import Csr
from methods._memory import halving
from methods._search import rounding

PAIRS = 2**21  # (query, document) pairs at a time: 8 MB for each of five arrays over them
PAIRS_ON_GPU = 2**26


@dataclass(frozen=True)
class Screen:
    """Documents that turn, as they are seen at g ≥ 2 moments, called looks. All on the device that shall compute.

    Attributes:
        start: (t, d) float32, the documents.
        towards: (t, d) float32, the directions that they turn to.
        turned: (p, g, t) float32, how far each has turned at each look, ascending, in radians, in each of the p ways
            in which they may turn together.
        shrinking: (g,) float32 ≥ 0, a factor on the scores of the documents that stay, at each look.
    """

    start: Tensor
    towards: Tensor
    turned: Tensor
    shrinking: Tensor

    @cached_property
    def _longest(self) -> float:
        return max(float(torch.linalg.vector_norm(part, dim=1).amax()) for part in (self.start, self.towards))

    def contenders(self, queries: Tensor, staying: Tensor, barred: Csr, k: int) -> tuple[Tensor, Tensor]:
        """Pairs of a query and a document that turns, a superset of those in which it comes among the first k.

        Args:
            queries: (m, d) float32.
            staying: (m, k) float32, scores of the best documents that stay; -inf where there are fewer.
            barred: m rows of places in `start` that do not count.
            k: the cut-off.

        Returns:
            The queries and the places in `start`, int64 on the CPU, ascending.
        """
        device = self.start.device
        pairs = PAIRS_ON_GPU if device.type == "cuda" else PAIRS

        def of(some: slice) -> tuple[Tensor, Tensor]:
            bars = barred.take(torch.arange(some.start, some.stop))
            alive = self._alive(queries[some].to(device), staying[some].to(device), bars, k)
            query, place = alive.nonzero(as_tuple=True)
            return query.cpu() + some.start, place.cpu()

        found = list(halving(of, len(queries), max(1, pairs // len(self.start))))
        return torch.cat([query for query, _ in found]), torch.cat([place for _, place in found])

    def _alive(self, queries: Tensor, staying: Tensor, barred: Csr, k: int) -> Tensor:
        """(m, t) bool: whether some look sees a score from which the k-th best can be reached in the next turn."""
        a, b = queries @ self.start.T, queries @ self.towards.T
        a[barred.rows, barred.columns] = torch.nan  # which no comparison passes
        score = torch.empty_like(a)
        slack = 2 * rounding(queries, self._longest, torch.float32)
        alive, passes = (torch.zeros(a.shape, dtype=torch.bool, device=a.device) for _ in range(2))
        for way in self.turned:
            needed = self._needed(way, a, b, staying, k, score) - slack
            for angle, enough in zip(way, needed, strict=True):
                alive |= torch.ge(_score(a, b, angle, score), enough[:, None], out=passes)
        return alive

    def _needed(self, way: Tensor, a: Tensor, b: Tensor, staying: Tensor, k: int, scratch: Tensor) -> Tensor:
        """(g, m): the score at each look below which a document stays out of the first k until the looks beside it.

        Between two looks no document turns by more than some δ. A sinusoid over an arc of δ exceeds the larger of its
        ends by a factor of 1 / cos(δ/2) at the most where that is positive, and not at all where it is negative; the
        same holds below the smaller end. A few documents that are good at some look bound the k-th best from below.
        """
        good = []
        for look in (0, len(way) // 2, -1):
            score = _score(a, b, way[look], scratch).nan_to_num_(nan=-torch.inf)
            good.append(score.topk(min(k, score.shape[1]), dim=1).indices)
        places = torch.cat(good, dim=1).sort(dim=1).values
        repeated = torch.nn.functional.pad(places.diff(dim=1) == 0, (1, 0))
        angles = way[:, places]
        known = angles.cos() * a.gather(1, places) + angles.sin() * b.gather(1, places)
        known = torch.where(repeated | known.isnan(), -torch.inf, known)
        others = torch.where(staying.isneginf(), -torch.inf, staying * self.shrinking[:, None, None])
        known = torch.cat([known, others], dim=2)
        bend = (way.diff(dim=0).amax(1) / 2).cos()[:, None]
        lowest = torch.minimum(known[1:], known[:-1])
        lowest = torch.where(lowest < 0, lowest / bend[:, :, None], lowest)
        floor = lowest.topk(k, dim=2).values[:, :, -1]
        needed = torch.where(floor > 0, floor * bend, floor)
        return torch.minimum(torch.cat([needed[:1], needed]), torch.cat([needed, needed[-1:]]))


def _score(a: Tensor, b: Tensor, turned: Tensor, out: Tensor) -> Tensor:
    """Writes over `out`: to make room anew would take longer than to compute."""
    return torch.mul(a, turned.cos(), out=out).addcmul_(b, turned.sin())
