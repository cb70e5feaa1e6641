"""A linear layer on the queries, trained by InfoNCE (the baseline of Zeighami et al. 2024, arXiv 2409.02343)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from methods._batches import shuffled_batches
from methods._contract import Csr, Method, Problem, check_dev, check_train
from methods._errors import ProblemError
from methods._metrics import Metric
from methods._tuned import VectorTuned


@dataclass(frozen=True)
class Adaptor(Method):
    """Trains one linear layer on the queries; the defaults are the published protocol.

    The layer is d × d, has no bias, and starts from the identity; the softmax is over cosines.

    Attributes:
        batch: (query, relevant document) pairs a step; all pairs when there are fewer.
        steps: optimiser steps at the most.
        warmup: steps over which the learning rate rises linearly; 0 stands for all of `steps`, as published.
        learning_rate: of AdamW, after the warm-up.
        scale: factor on the cosines in the softmax (the inverse temperature).
        check_every: steps between two looks at the dev queries; 0 never looks and keeps the last step.
        patience: steps without a better dev metric after which training stops.
        max_drop: fall of the dev metric below its best at which training stops.
        metric: of the dev queries, to choose the checkpoint by.
        compat: "reference" counts a query's other relevant documents among its negatives, as the authors do;
            "none" leaves them out.
    """

    batch: int = 4096
    steps: int = 10_000
    warmup: int = 0
    learning_rate: float = 1e-3
    scale: float = 20.0
    check_every: int = 50
    patience: int = 1_000
    max_drop: float = 0.05
    metric: str = "ndcg@10"
    compat: Literal["none", "reference"] = "none"

    def fit(self, problem: Problem) -> VectorTuned:
        """Trains the layer and keeps its best checkpoint by the dev metric, the identity included.

        Raises:
            ProblemError: when there is no training pair, no dev query has an answer, or the loss is not finite.
        """
        train, metric = problem.train.relevant, Metric.parse(self.metric)
        check_train(problem)
        if self.check_every:
            check_dev(problem)
        layer = self.query_map(problem.corpus.d).to(problem.device)
        optimiser = torch.optim.AdamW(layer.parameters(), lr=self.learning_rate)
        warmup = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min(1.0, (step + 1) / (self.warmup or self.steps))
        )
        tuned = VectorTuned(problem.corpus, query_map=layer, similarity=problem.similarity, device=problem.device)
        best, best_step, kept = -1.0, 0, deepcopy(layer.state_dict())
        for step, pairs in enumerate(shuffled_batches(len(train.columns), self.batch, problem.seed)):
            last = step == self.steps
            if self.check_every and (last or step % self.check_every == 0):
                value = metric.mean(tuned.search(problem.dev, metric.k), problem.dev.relevant)
                problem.meter.log(dev=value)
                if value > best:
                    best, best_step, kept = value, step, deepcopy(layer.state_dict())
                last |= step - best_step >= self.patience or value < best - self.max_drop
            if last:
                break
            loss = self._loss(layer, problem, pairs)
            if not loss.isfinite():
                raise ProblemError(f"adaptor: the loss is {loss.item()} at step {step}; lower learning_rate or scale")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            warmup.step()
            problem.meter.count("steps")
            problem.meter.log(loss=loss.item())
        if not self.check_every:
            return tuned
        layer.load_state_dict(kept)
        return replace(tuned, chosen={"steps": best_step, "warmup": self.warmup or self.steps, "check_every": 0})

    def query_map(self, d: int) -> nn.Module:
        """The layer at its start: the identity."""
        layer = nn.Linear(d, d, bias=False)
        nn.init.eye_(layer.weight)
        return layer

    def _loss(self, layer: nn.Module, problem: Problem, pairs: Tensor) -> Tensor:
        """The mean over the batch of −log softmax of the pair's own document among the batch's documents."""
        relevant = problem.train.relevant
        query_rows, document_rows = relevant.rows[pairs], relevant.columns[pairs]
        queries = layer(problem.train.vectors[query_rows].to(problem.device))
        documents = problem.corpus.rows(document_rows).to(problem.device)
        cosines = nn.functional.normalize(queries, dim=1) @ nn.functional.normalize(documents, dim=1).T
        if self.compat == "none":
            also_relevant = _judged(relevant, query_rows, document_rows).to(problem.device)
            also_relevant.fill_diagonal_(False)
            cosines = cosines.masked_fill(also_relevant, -torch.inf)
        own = torch.arange(len(pairs), device=problem.device)
        return nn.functional.cross_entropy(self.scale * cosines, own)


def _judged(relevant: Csr, query_rows: Tensor, document_rows: Tensor) -> Tensor:
    """(b, b) bool: whether the query of one pair has the document of another among its relevant ones."""
    documents, place = document_rows.unique(return_inverse=True)
    some = relevant.take(query_rows).among(documents)
    table = torch.zeros(len(query_rows), len(documents), dtype=torch.bool)
    table[some.rows, some.columns] = True
    return table[:, place]
