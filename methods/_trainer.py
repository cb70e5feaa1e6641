"""Training of an encoder by sentence-transformers' own trainer. Imported when something is trained: it is heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_model, save_model
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from torch import Tensor, nn
from torch.utils.data import BatchSampler
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from methods._contract import Problem, TrainableEncoder
from methods._csr import Csr
from methods._errors import ProblemError
from methods._pool import DevPool, has_fallen
from methods._scratch import RESUMABLE, Trained
from methods._search import has_bfloat16

WEIGHTS = "model.safetensors"
PARTS = (WEIGHTS, "optimizer.pt", "scheduler.pt", "rng_state.pth")  # of a checkpoint, besides its state
TRIES = 4  # times a batch's size: so many pairs are looked at to fill it


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        steps: of the optimiser, at the most.
        batch: pairs a step.
        learning_rate: of Adam, constant.
        scale: factor on the cosines in the softmax.
        check_every: steps between two looks at the dev queries; 0 never looks.
        max_drop: fall of the dev value below its best at which training stops.
    """

    steps: int
    batch: int
    learning_rate: float
    scale: float
    check_every: int
    max_drop: float


def train(
    encoder: TrainableEncoder,
    problem: Problem,
    pairs: Sequence[Tensor],
    recipe: Recipe,
    pool: DevPool | None,
    folder: Path,
) -> Trained:
    """Trains the encoder in place by the InfoNCE loss over the documents of a batch.

    Args:
        encoder: what is trained.
        problem: whose items, judgements, seed and device are used.
        pairs: (pairs,) int64 rows: of the train query, of its relevant document, and of any further negatives.
        recipe: how to train.
        pool: what the dev metric is taken from, or None to keep the last step.
        folder: for checkpoints. Training goes on from the last one that it holds.

    Raises:
        ProblemError: when the loss is not finite, or the device has no memory for a single pair.
    """
    untrained, last = -1.0 if pool is None else pool.untrained(), _last_whole(folder)
    watch = _Stopwatch(0.0 if last is None else _stopped(last))
    names = ["query", "document", *(f"negative_{number}" for number in range(len(pairs) - 2))]
    trainer = _Trainer(
        model=encoder.model,
        args=_arguments(recipe, problem, folder),
        train_dataset=Dataset.from_dict(dict(zip(names, (rows.tolist() for rows in pairs), strict=True))),
        data_collator=_Collator(encoder, problem),  # type: ignore[arg-type]  # it only calls it
        loss=MultipleNegativesRankingLoss(encoder.model, scale=recipe.scale),
        evaluator=None if pool is None else _Dev(lambda: pool.value(encoder)),
        callbacks=[watch, _StopWhenItFalls(untrained, recipe.max_drop)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.batches = DisjointBatches(pairs, problem.train.relevant, recipe.batch, recipe.steps, problem.seed)
    if last is not None and _has_fallen(last, untrained, recipe.max_drop):
        trainer.state = last
        trainer._load_best_model()  # noqa: SLF001 — our own
    else:
        trainer.train(resume_from_checkpoint=None if last is None else str(_checkpoint(folder, last.global_step)))
    state = trainer.state
    curves = {"loss": [entry["loss"] for entry in state.log_history if "loss" in entry]}
    best = state.global_step
    if pool is not None:
        curves["dev"] = [untrained, *(entry["eval_dev"] for entry in state.log_history if "eval_dev" in entry)]
        best = state.best_global_step or 0
        if (state.best_metric or 0.0) <= untrained:
            best = 0
    return Trained(best, {"steps": state.global_step}, curves, watch.seconds, watch.earlier)


def _arguments(recipe: Recipe, problem: Problem, folder: Path) -> SentenceTransformerTrainingArguments:
    on_cpu, checked = problem.device.type == "cpu", recipe.check_every > 0
    every = min(recipe.check_every or RESUMABLE, recipe.steps)
    if not on_cpu and torch.cuda.device_count() > 1:
        raise ProblemError("training takes one GPU; show it a single one by CUDA_VISIBLE_DEVICES")
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.batch,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="constant",
        bf16=has_bfloat16(problem.device),
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
        eval_strategy="steps" if checked else "no",
        eval_steps=every,
        save_steps=every,
        save_total_limit=1,
        load_best_model_at_end=checked,
        metric_for_best_model="dev" if checked else None,
        greater_is_better=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        seed=problem.seed,
    )


def _stopped(state: TrainerState) -> float:
    """The seconds on the watch of a checkpoint."""
    watches: Any = state.stateful_callbacks
    return float(watches[_Stopwatch.__name__]["args"]["earlier"])


def _checkpoint(folder: Path, step: int) -> Path:
    return folder / f"checkpoint-{step}"


def _last_whole(folder: Path) -> TrainerState | None:
    """The state of the last checkpoint that was written to its end, and of which nothing has been removed since."""
    steps = (int(path.name.rpartition("-")[2]) for path in folder.glob("checkpoint-*"))
    for step in sorted(steps, reverse=True):
        if not all((_checkpoint(folder, step) / part).exists() for part in PARTS):
            continue
        try:
            state: TrainerState = TrainerState.load_from_json(str(_checkpoint(folder, step) / "trainer_state.json"))
        except (OSError, ValueError):
            continue
        return state
    return None


def _has_fallen(state: TrainerState, untrained: float, max_drop: float) -> bool:
    return has_fallen([untrained, *(entry["eval_dev"] for entry in state.log_history if "eval_dev" in entry)], max_drop)


class DisjointBatches(BatchSampler):
    """Batches of pairs in which no document of one pair answers the query of another.

    A pair that does not fit into a batch waits for the next time that all pairs are shuffled.
    """

    def __init__(self, pairs: Sequence[Tensor], relevant: Csr, size: int, steps: int, seed: int) -> None:
        self.size = size
        self.steps = steps
        self.seed = seed
        self._shown = [frozenset(rows) for rows in torch.stack(list(pairs[1:]), dim=1).tolist()]
        known = relevant.take(pairs[0])
        self._answers = [frozenset(part.tolist()) for part in known.columns.split(known.lengths.tolist())]

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        stream = self._shuffled()
        for _ in range(self.steps):
            batch: list[int] = []
            shown: set[int] = set()
            answers: set[int] = set()
            for pair in islice(stream, TRIES * self.size):
                if self._shown[pair] & answers or self._answers[pair] & shown:
                    continue
                batch.append(pair)
                shown |= self._shown[pair]
                answers |= self._answers[pair]
                if len(batch) == self.size:
                    break
            yield batch

    def _shuffled(self) -> Iterator[int]:
        random = torch.Generator().manual_seed(self.seed)
        while True:
            yield from torch.randperm(len(self._shown), generator=random).tolist()


@dataclass(frozen=True)
class _Collator:
    """Turns rows into what the model reads, so that only the items of a batch are ever read."""

    encoder: TrainableEncoder
    problem: Problem
    valid_label_columns: tuple[str, ...] = ()

    def __call__(self, rows: list[dict[str, int]]) -> dict[str, Any]:
        batch: dict[str, Any] = {}
        for name in rows[0]:
            items = self.problem.train.items if name == "query" else self.problem.corpus.items
            role: Any = "query" if name == "query" else "document"
            features = self.encoder.features([items[row[name]] for row in rows], role)
            batch |= {f"{name}_{key}": value for key, value in features.items()}
        return batch


@dataclass
class _Dev(SentenceEvaluator):
    """The dev metric, under the name that the trainer looks for."""

    value: Callable[[], float]

    def __call__(self, *_: Any, **__: Any) -> dict[str, float]:
        return {"dev": self.value()}


class _Stopwatch(TrainerCallback, ExportableState):
    """Knows how long training has taken, with what it took before it was killed."""

    def __init__(self, earlier: float = 0.0) -> None:
        self.earlier = earlier
        self._began = perf_counter()

    @property
    def seconds(self) -> float:
        return self.earlier + perf_counter() - self._began

    def state(self) -> dict[str, Any]:
        return {"args": {"earlier": self.seconds}, "attributes": {}}


@dataclass
class _StopWhenItFalls(TrainerCallback):
    untrained: float
    max_drop: float

    def on_evaluate(
        self,
        args: TrainingArguments,  # noqa: ARG002 — as the trainer calls it
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        control.should_training_stop |= _has_fallen(state, self.untrained, self.max_drop)


class _Trainer(SentenceTransformerTrainer):
    """The trainer with batches of our own; it stops at a loss that is not finite, and needs no memory to spare."""

    batches: DisjointBatches
    loss: Any

    def get_batch_sampler(self, *_: Any, **__: Any) -> DisjointBatches:
        return self.batches

    def compute_loss(self, *arguments: Any, **named: Any) -> Any:
        loss: Any = super().compute_loss(*arguments, **named)
        if not loss.isfinite():
            step = self.state.global_step
            raise ProblemError(f"the loss is {loss.item()} at step {step}; lower learning_rate or scale")
        return loss

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *rest: Any, **named: Any) -> Tensor:
        """Trains on a batch; without the memory for it in parts, among whose documents the softmax still is."""
        while True:
            try:
                loss: Tensor = super().training_step(model, dict(inputs), *rest, **named)
            except torch.OutOfMemoryError:
                size = getattr(self.loss, "mini_batch_size", self.args.train_batch_size)
                if size == 1:
                    raise ProblemError(
                        f"{self.args.device} has no memory for a single pair; use a smaller encoder"
                    ) from None
                model.zero_grad()
                self.loss = CachedMultipleNegativesRankingLoss(
                    self.model, scale=self.loss.scale, mini_batch_size=size // 2
                )
            else:
                return loss

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Adds none: what is trained is described by its record."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002
        """Saves weights alone: what else there is to the model does not change."""
        folder = Path(str(output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.model, str(folder / WEIGHTS))

    def _load_from_checkpoint(self, checkpoint: str, model: nn.Module | None = None) -> None:
        load_model(model or self.model, Path(checkpoint) / WEIGHTS)

    def _load_best_model(self) -> None:
        """Loads it from where it is now: the folder may have been moved since the state was written."""
        step = int(self.state.best_global_step or 0)
        self._load_from_checkpoint(str(_checkpoint(Path(str(self.args.output_dir)), step)))
