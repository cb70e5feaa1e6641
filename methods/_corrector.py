"""Training of an encoder with negatives from a softmax over all documents: from the first step to the best."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from methods._batches import shuffled_batches
from methods._contract import Problem, TrainableEncoder
from methods._corrector_step import Stepper
from methods._metrics import Metric
from methods._pool import DevPool, has_fallen
from methods._probe import Probe
from methods._scratch import RESUMABLE, Tensors, Trained, copied, read_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from methods.corrector import Corrector


def train(recipe: Corrector, problem: Problem, encoder: TrainableEncoder, folder: Path) -> Trained:
    """Trains the encoder in place.

    Args:
        recipe: how to train.
        problem: whose items, judgements, cached vectors, seed and device are used.
        encoder: what is trained.
        folder: for checkpoints. Training goes on from the one that it holds.

    Raises:
        ProblemError: when a loss is not finite, or the device has no memory for a step.
    """
    began, path = perf_counter(), folder / "checkpoint.safetensors"
    training, earlier = Training(recipe, problem, encoder), 0.0
    if path.exists():
        earlier = training.restore(path)
    else:
        training.check()
    stepper, every = training.stepper, recipe.check_every or RESUMABLE
    batches = shuffled_batches(len(problem.train.relevant.columns), recipe.batch, problem.seed)
    for pairs in islice(batches, stepper.done, recipe.steps):
        if training.has_fallen():
            break
        training.log(loss=stepper.step(pairs))
        if stepper.done % every == 0 or stepper.done == recipe.steps:
            training.check()
            if problem.scratch is not None:
                training.write(path, earlier + perf_counter() - began)
    best = training.keep_best()
    return Trained(best, dict(stepper.counts), training.curves, earlier + perf_counter() - began, earlier)


class Training:
    """A training with what its checks have found.

    Attributes:
        stepper: what makes the steps.
        curves: of the loss, and of what the checks have found.
        best: the step of the best dev value so far.
    """

    def __init__(self, recipe: Corrector, problem: Problem, encoder: TrainableEncoder) -> None:
        self.stepper = Stepper(recipe, problem, encoder)
        self.curves: dict[str, list[float]] = {}
        self.best = 0
        self._recipe = recipe
        self._kept: Tensors = {}
        self._pool = DevPool.of(problem, Metric.parse(recipe.metric)) if recipe.check_every else None
        self._probe = Probe.of(problem)

    def log(self, **values: float) -> None:
        """Appends one value to each named curve."""
        for name, value in values.items():
            self.curves.setdefault(name, []).append(value)

    def check(self) -> None:
        """Logs the dev metric, the encodes and the drift, and keeps the weights if they are the best so far."""
        if self._pool is None:
            return
        stepper = self.stepper
        value = self._pool.value(stepper.encoder) if stepper.done else self._pool.untrained()
        if stepper.done and value > max(self.curves["dev"]):
            self.best, self._kept = stepper.done, copied(stepper.encoder.model.state_dict())
        self.log(dev=value, encodes=stepper.encodes)
        self.log(
            **self._probe.measure(stepper.encoder, stepper.cache, stepper.network, stepper.encoded, self._recipe.scale)
        )

    def has_fallen(self) -> bool:
        """Whether the last dev value lies so far below the best that training stops."""
        return "dev" in self.curves and has_fallen(self.curves["dev"], self._recipe.max_drop)

    def keep_best(self) -> int:
        """Goes back to the best weights, where the dev queries were asked, and returns the steps behind them."""
        if self._pool is None:
            return self.stepper.done
        if self.best:
            self.stepper.encoder.model.load_state_dict(self._kept)
        return self.best

    def write(self, path: Path, seconds: float) -> None:
        """Writes all that the rest depends on, with the seconds that it took to get here."""
        state = {"counts": self.stepper.counts, "curves": self.curves, "best": self.best, "seconds": seconds}
        write_checkpoint(path, {**self.stepper.state(), "best": self._kept}, state)

    def restore(self, path: Path) -> float:
        """Goes on from what `write` wrote, and returns the seconds."""
        parts, state = read_checkpoint(path)
        self.stepper.restore(parts, state["counts"])
        self.curves, self.best, self._kept = state["curves"], state["best"], parts.get("best", {})
        return float(state["seconds"])
