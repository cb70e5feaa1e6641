"""Full fine-tuning: all weights of the encoder, by InfoNCE with the other documents of a batch as negatives.

The protocol is that of Zeighami et al. (2024, arXiv 2409.02343); the trainer and the loss are sentence-transformers'.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from safetensors.torch import load_model, save_model

from methods._contract import Method, Problem, TrainableEncoder, check_dev, check_train
from methods._errors import ProblemError, Unsuited
from methods._hard_negatives import hard_negatives
from methods._metrics import Metric
from methods._pool import DevPool
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

    def fit(self, problem: Problem) -> VectorTuned:
        """Trains a copy of the encoder and keeps its best checkpoint by the dev metric, the untrained one included.

        Raises:
            Unsuited: when the encoder cannot be trained.
            ProblemError: when there is no training pair, no dev query has an answer, or the loss is not finite.
        """
        check_train(problem)
        if self.check_every:
            check_dev(problem)
        if not isinstance(problem.encoder, TrainableEncoder):
            raise Unsuited(f"{self.name}: this encoder cannot be trained; take one whose weights are at hand")
        encoder = deepcopy(problem.encoder)
        step = self._trained(encoder, problem) if self.steps else 0
        return VectorTuned(
            problem.corpus,
            encoder=encoder if step else None,
            similarity=problem.similarity,
            device=problem.device,
            chosen={"steps": step, "check_every": 0} if self.check_every else {},
        )

    def adapted(self, model: SentenceTransformer) -> Callable[[], object]:  # noqa: ARG002 — it trains as it is
        """Readies the model for training, and returns what makes it an ordinary one again."""
        return lambda: None

    def _trained(self, encoder: TrainableEncoder, problem: Problem) -> int:
        """Trains the encoder, unless an equal fit has done so, and returns the steps behind its weights."""
        with nullcontext(problem.scratch) if problem.scratch else TemporaryDirectory() as scratch:
            folder = Path(scratch) / self._key(problem)
            weights, state = folder / "model.safetensors", folder / "done.json"
            if state.exists():
                done = json.loads(state.read_text())
                load_model(encoder.model, weights)
                problem.meter.spent(done["seconds"])
            else:
                done = self._train(encoder, problem, folder / "checkpoints")
                save_model(encoder.model, str(weights))
                state.write_text(json.dumps(done))
                rmtree(folder / "checkpoints")
        encoder.model.eval()
        problem.meter.count("steps", done["steps"])
        for name, values in done["curves"].items():
            for value in values:
                problem.meter.log(**{name: value})
        return int(done["best"])

    def _train(self, encoder: TrainableEncoder, problem: Problem, folder: Path) -> dict[str, Any]:
        from methods._trainer import Recipe, train

        pool = DevPool.of(problem, Metric.parse(self.metric)) if self.check_every else None
        relevant = problem.train.relevant
        pairs = [relevant.rows, relevant.columns]
        if self.negatives:
            pairs += hard_negatives(problem, self.negatives, HARD).unbind(dim=1)
        recipe = Recipe(self.steps, self.batch, self.learning_rate, self.scale, self.check_every, self.max_drop)
        torch.manual_seed(problem.seed)
        restore = self.adapted(encoder.model)
        try:
            trained = train(encoder, problem, pairs, recipe, pool, folder)
        except ProblemError as problem_found:
            raise ProblemError(f"{self.name}: {problem_found}") from None
        restore()
        problem.meter.spent(trained.earlier)
        return asdict(trained)

    def _key(self, problem: Problem) -> str:
        """Names all that decides the weights, besides the encoder and the documents."""
        digest = hashlib.sha256(f"{self!r} {self.version} {problem.seed}".encode())
        for part in (problem.train, problem.dev):
            for tensor in (part.vectors, part.relevant.offsets, part.relevant.columns, part.relevant.values):
                digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()[:16]
