"""Full fine-tuning: all weights of the encoder, by InfoNCE with the other documents of a batch as negatives.

The protocol is that of Zeighami et al. (2024, arXiv 2409.02343); the trainer and the loss are sentence-transformers'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from methods._contract import Method, Part, Problem, TrainableEncoder
from methods._fine_tuned import fine_tuned
from methods._hard_negatives import hard_negatives
from methods._metrics import Metric
from methods._pool import DevPool
from methods._scratch import Trained
from methods._space import Range, Space
from methods._tuned import VectorTuned

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

HARD = 50  # documents of a train query that its hard negatives are drawn from


@dataclass(frozen=True)
class FullFinetune(Method):
    """Trains all weights of the encoder; the defaults are the published protocol.

    No document of a batch is a negative of a query that it answers. The documents are encoded anew in the end.

    Attributes:
        batch: (query, relevant document) pairs a step.
        steps: optimiser steps at the most.
        learning_rate: of Adam, constant.
        scale: factor on the cosines in the softmax (the inverse temperature).
        negatives: hard negatives of each pair, drawn from the 50 best documents of its query that do not answer it.
        check_every: steps between two looks at the dev queries, which are asked among all answers and their best
            other documents; 0 never looks and keeps the last step.
        max_drop: fall of the dev metric below its best at which training stops.
        metric: of the dev queries, to choose the checkpoint by.
    """

    space: ClassVar[Space] = {"learning_rate": Range(5e-6, 2e-4, log=True), "scale": Range(10.0, 50.0)}
    needs: ClassVar[frozenset[Literal["items", "encoder"]]] = frozenset({"items", "encoder"})
    batch: int = 32
    steps: int = 20_000
    learning_rate: float = 2e-5
    scale: float = 20.0
    negatives: int = 0
    check_every: int = 1_000
    max_drop: float = 0.05
    metric: str = "ndcg@10"

    def replaces(self) -> frozenset[Part]:
        """The encoder, and with it all vectors."""
        return frozenset({"encoder"})

    def fit(self, problem: Problem) -> VectorTuned:
        """Trains a copy of the encoder and keeps its best checkpoint by the dev metric, the untrained one included.

        Raises:
            Unsuited: when the encoder cannot be trained.
            ProblemError: when there is no training pair, no dev query has an answer, a query has too few hard
                negatives, the loss is not finite, or the device has no memory for a single pair.
        """
        train = partial(self._train, problem)
        return fine_tuned(self, problem, train, steps=self.steps, checked=self.check_every > 0)

    def adapted(self, model: SentenceTransformer) -> Callable[[], object]:  # noqa: ARG002 — it trains as it is
        """Readies the model for training, and returns what makes it an ordinary one again."""
        return lambda: None

    def _train(self, problem: Problem, encoder: TrainableEncoder, folder: Path) -> Trained:
        from methods._trainer import Recipe, train

        pool = DevPool.of(problem, Metric.parse(self.metric)) if self.check_every else None
        relevant = problem.train.relevant
        pairs = [relevant.rows, relevant.columns]
        if self.negatives:
            pairs += hard_negatives(problem, self.negatives, HARD).unbind(dim=1)
        recipe = Recipe(self.steps, self.batch, self.learning_rate, self.scale, self.check_every, self.max_drop)
        torch.manual_seed(problem.seed)
        restore = self.adapted(encoder.model)
        trained = train(encoder, problem, pairs, recipe, pool, folder)
        restore()
        return trained
