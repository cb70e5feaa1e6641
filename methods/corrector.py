"""The corrector network: hard negatives from a softmax over all documents, by cached vectors that a network corrects.

Monath et al. (2024, arXiv 2409.01890). They give no code; the values of all hyperparameters are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from methods._contract import Method, Part, Problem
from methods._errors import ProblemError
from methods._fine_tuned import fine_tuned
from methods._tuned import VectorTuned


@dataclass(frozen=True)
class Corrector(Method):
    """Trains all weights of the encoder with negatives drawn from a softmax over all documents, β·cosine.

    The softmax is over cached document vectors, which are stale once the encoder has moved. A small network learns,
    from the documents that a step encodes in any case, to bring them up to date. Drop-out is off. Documents that
    answer a query, and those that it must not retrieve, are no negatives of it. The documents are encoded anew in
    the end.

    Counts: "encodes_cache", "encodes_refresh" and "encodes_step" are of documents; what the dev metric and the drift
    take is not among them. Curves: "loss" a step; "dev", "encodes" (of documents so far), "drift" and "tv" before
    training and at each check, the last two as `Probe.measure` says.

    Attributes:
        selection: of negatives. "uniform": all documents alike. "in-batch": the documents of the other pairs.
            "stale": from the softmax over the first cache. "stale-refresh": with a cache encoded anew every `refresh`
            steps. "corrector", "corrector-refresh": as these, over corrected vectors; the network starts anew with the
            cache. "exact": with a cache encoded anew at every step.
        batch: (query, relevant document) pairs a step; all pairs when there are fewer.
        negatives: documents drawn for each query, all different; "in-batch" draws none.
        steps: optimiser steps at the most.
        refresh: steps between two caches.
        learning_rate: of AdamW for the encoder, constant.
        corrector_rate: learning rate of Adam for the network, constant.
        scale: β, factor on the cosines in both softmaxes.
        warmup: steps in which negatives are drawn by stale vectors although the network already learns.
        log_inclusion: whether the logarithm of a negative's inclusion probability is taken off its logit, so that the
            negatives stand for all documents: that of Gumbel top-k, or for "in-batch" that of a random batch.
        check_every: steps between two looks at the dev queries, which are asked among all answers and their best
            other documents; 0 never looks and keeps the last step.
        max_drop: fall of the dev metric below its best at which training stops.
        metric: of the dev queries, to choose the checkpoint by.
    """

    needs: ClassVar[frozenset[Literal["items", "encoder"]]] = frozenset({"items", "encoder"})
    selection: Literal["uniform", "in-batch", "stale", "stale-refresh", "corrector", "corrector-refresh", "exact"] = (
        "corrector"
    )
    batch: int = 64
    negatives: int = 16
    steps: int = 2_000
    refresh: int = 100
    learning_rate: float = 2e-5
    corrector_rate: float = 1e-3
    scale: float = 20.0
    warmup: int = 0
    log_inclusion: bool = True
    check_every: int = 100
    max_drop: float = 0.05
    metric: str = "ndcg@10"

    def replaces(self) -> frozenset[Part]:
        """The encoder, and with it all vectors."""
        return frozenset({"encoder"})

    def fit(self, problem: Problem) -> VectorTuned:
        """Trains a copy of the encoder and keeps its best checkpoint by the dev metric, the untrained one included.

        Raises:
            Unsuited: when the encoder cannot be trained.
            ProblemError: when there is no training pair, no dev query has an answer, a loss is not finite, or the
                device has no memory for a step.
        """
        for name in ("batch", "negatives", "refresh"):
            if getattr(self, name) < 1:
                raise ProblemError(f"corrector: {name} is {getattr(self, name)}; pass 1 or more")
        from methods._corrector import train

        return fine_tuned(self, problem, partial(train, self, problem), steps=self.steps, checked=self.check_every > 0)
