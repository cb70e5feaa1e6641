"""A map of the queries, the documents or both (the baseline of Zeighami et al. 2024, arXiv 2409.02343)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from methods._batches import shuffled_batches
from methods._contract import Method, Part, Problem, check_dev, check_train
from methods._errors import ProblemError
from methods._infonce import Pairs
from methods._maps import Maps, Residual, identity_layer
from methods._metrics import Metric
from methods._pool import pooled
from methods._ridge import RidgeMaps
from methods._space import Range, Space
from methods._tuned import VectorTuned

WHOLE = 20_000  # documents that are still searched whole at a look at the dev queries
NEAREST = 50  # of more, each dev query's best that are searched besides all answers
RIDGES = torch.logspace(3, -2, 11, dtype=torch.float64)  # values of λ that are tried, in mean eigenvalues of the data


@dataclass(frozen=True)
class Adaptor(Method):
    """Maps the queries, the documents or both to where they match better.

    The published protocol is `batch=4096, steps=10000, warmup=10000, scale=20.0, patience=1000, metric=hit@1,
    compat=reference`; the defaults reach the same in a small part of its time.

    Attributes:
        kind: "linear" is one d × d layer without a bias that starts from the identity, as published; "mlp" is
            z + W₂·GELU(W₁z + b₁) + b₂, where W₂ and b₂ start from 0; both are trained by InfoNCE over cosines. "ridge"
            is a d × d matrix too, the one that takes unit queries nearest to their documents, by a closed formula.
        side: what is mapped; with "both" each side has weights of its own, and "ridge" takes documents to their
            queries, which by then are mapped.
        ridge: λ of "ridge" instead of choosing it by the dev queries: what leaving the identity costs.
        batch: (query, relevant document) pairs a step; all pairs when there are fewer.
        steps: optimiser steps at the most.
        warmup: steps over which the learning rate rises linearly.
        learning_rate: of AdamW, after the warm-up.
        scale: factor on the cosines in the softmax (the inverse temperature).
        check_every: steps between two looks at the dev queries; 0 never looks and keeps the last step.
        patience: steps without a better dev metric after which training stops.
        max_drop: fall of the dev metric below its best at which training stops.
        metric: of the dev queries, to choose the checkpoint or λ by.
        compat: "reference" takes all documents in the batch but the pair's own for negatives, as the authors do;
            "none" leaves out those that are relevant to the query, or that it must not retrieve.
    """

    version: ClassVar[int] = 2
    space: ClassVar[Space] = {"learning_rate": Range(1e-4, 1e-2, log=True), "scale": Range(5.0, 50.0)}
    kind: Literal["linear", "mlp", "ridge"] = "linear"
    side: Literal["query", "document", "both"] = "query"
    ridge: float | None = None
    batch: int = 512
    steps: int = 3_000
    warmup: int = 20
    learning_rate: float = 1e-3
    scale: float = 25.0
    check_every: int = 50
    patience: int = 200
    max_drop: float = 0.05
    metric: str = "ndcg@10"
    compat: Literal["none", "reference"] = "none"

    def fit(self, problem: Problem) -> VectorTuned:
        """Learns the maps; of those trained step by step the best by the dev metric is kept, the identity included.

        Raises:
            ProblemError: when there is no training pair, no dev query has an answer, the loss is not finite, or λ is
                not positive.
        """
        check_train(problem)
        maps, chosen = self._solved(problem) if self.kind == "ridge" else self._trained(problem)
        return replace(maps.tuned(problem), chosen=chosen)

    def replaces(self) -> frozenset[Part]:
        """The sides that are mapped."""
        sides: dict[str, frozenset[Part]] = {"query": frozenset({"queries"}), "document": frozenset({"documents"})}
        return sides.get(self.side, frozenset({"queries", "documents"}))

    def query_map(self, d: int) -> nn.Module:
        """The map of the queries at its start."""
        return nn.Identity() if self.side == "document" else self._map(d)

    def _map(self, d: int) -> nn.Module:
        return Residual(d) if self.kind == "mlp" else identity_layer(d)

    def _start(self, problem: Problem) -> Maps:
        d = problem.corpus.d
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(problem.seed)
            return Maps(self.query_map(d), nn.Identity() if self.side == "query" else self._map(d)).to(problem.device)

    def _trained(self, problem: Problem) -> tuple[Maps, Mapping[str, Any]]:
        """The maps at their best checkpoint, and what takes them there without the dev queries."""
        maps = self._start(problem)
        steps = self._steps(maps, problem)
        if not self.check_every:
            deque(steps, maxlen=0)
            return maps, {}
        check_dev(problem)
        pool = _searched(problem)
        best, best_step, kept = -1.0, 0, maps.state_dict()
        for step in steps:
            if step % self.check_every and step < self.steps:
                continue
            value = self._dev_metric(maps, pool)
            if value > best:
                best, best_step, kept = value, step, deepcopy(maps.state_dict())
            if step - best_step >= self.patience or value < best - self.max_drop:
                break
        maps.load_state_dict(kept)
        return maps, {"steps": best_step, "check_every": 0}

    def _steps(self, maps: Maps, problem: Problem) -> Iterator[int]:
        """Yields how many steps are done, from 0 to all, and does one whenever it is asked for more."""
        pairs = Pairs.of(problem, bar=self.compat == "none")
        optimiser = torch.optim.AdamW(maps.parameters(), lr=self.learning_rate)
        warmup = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / max(1, self.warmup)))
        batches = shuffled_batches(len(pairs.query), self.batch, problem.seed)
        for step, batch in zip(range(self.steps), batches, strict=False):
            yield step
            loss = pairs.loss(maps, batch, self.scale)
            if not loss.isfinite():
                raise ProblemError(f"adaptor: the loss is {loss.item()} at step {step}; lower learning_rate or scale")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            warmup.step()
            problem.meter.count("steps")
            problem.meter.log(loss=loss.item())
        yield self.steps

    def _solved(self, problem: Problem) -> tuple[Maps, Mapping[str, Any]]:
        """The maps of the best λ, the largest of those that tie, and that λ."""
        if self.ridge is not None and not self.ridge > 0:
            raise ProblemError(f"adaptor: ridge is {self.ridge}; pass a positive number")
        solution = RidgeMaps(problem, self.side)
        if self.ridge is not None:
            return solution.at(self.ridge), {}
        check_dev(problem)
        pool = _searched(problem)
        best = max((RIDGES * solution.scale).tolist(), key=lambda ridge: self._dev_metric(solution.at(ridge), pool))
        return solution.at(best), {"ridge": best}

    def _dev_metric(self, maps: Maps, pool: Problem) -> float:
        metric = Metric.parse(self.metric)
        value = metric.mean(maps.tuned(pool).search(pool.dev, metric.k), pool.dev.relevant)
        pool.meter.log(dev=value)
        return value


def _searched(problem: Problem) -> Problem:
    return problem if problem.corpus.n <= WHOLE else pooled(problem, NEAREST)
