"""What a fit that trains an encoder leaves in the scratch folder: for the next chain, or for itself after a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_model, save_file, save_model
from torch import Tensor

from methods._contract import Method, Problem, TrainableEncoder

RESUMABLE = 1_000  # steps after which a fit that is not checked can be taken up again
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Trained:
    """How training went.

    Attributes:
        best: steps behind the weights that the model has: the best on the dev queries, or the last; 0 when no step
            has made the dev queries better.
        counts: what was done, and "steps" among it.
        curves: of the loss, a value a step, and of the dev metric, a value before training and at each check.
        seconds: from the start to the end, without those between a kill and its resumption.
        earlier: of them those before the resumption.
    """

    best: int
    counts: dict[str, int]
    curves: dict[str, list[float]]
    seconds: float
    earlier: float


def trained_once(method: Method, problem: Problem, encoder: TrainableEncoder, train: Callable[[Path], Trained]) -> int:
    """Trains the encoder, unless an equal fit has done so, and returns the steps behind its weights.

    Args:
        method: which, with the problem, decides the weights.
        problem: its meter is told what training took, its scratch folder keeps the weights.
        encoder: which is trained in place.
        train: trains it, and is given a folder for checkpoints to go on from.
    """
    with nullcontext(problem.scratch) if problem.scratch else TemporaryDirectory() as scratch:
        folder = Path(scratch) / _key(method, problem)
        weights, done, checkpoints = folder / "model.safetensors", folder / "done.json", folder / "checkpoints"
        if done.exists():
            trained = Trained(**json.loads(done.read_text()))
            load_model(encoder.model, weights)
            problem.meter.spent(trained.seconds)
        else:
            checkpoints.mkdir(parents=True, exist_ok=True)
            trained = train(checkpoints)
            problem.meter.spent(trained.earlier)
            save_model(encoder.model, str(weights))
            unfinished = done.with_suffix(".unfinished")
            unfinished.write_text(json.dumps(asdict(trained)))
            unfinished.replace(done)
            rmtree(checkpoints)
    encoder.model.eval()
    for name, count in trained.counts.items():
        problem.meter.count(name, count)
    for name, values in trained.curves.items():
        for value in values:
            problem.meter.log(**{name: value})
    return trained.best


def _key(method: Method, problem: Problem) -> str:
    """Names all that decides the weights, besides the encoder and the documents."""
    digest = hashlib.sha256(f"{method!r} {method.version} {problem.seed}".encode())
    for part in (problem.train, problem.dev):
        digest.update(part.vectors.numpy().tobytes())
        for csr in (part.relevant, part.exclude):
            for tensor in () if csr is None else (csr.offsets, csr.columns, csr.values):
                digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


def write_checkpoint(path: Path, parts: Mapping[str, Tensors], state: Mapping[str, Any]) -> None:
    """Writes named groups of tensors and plain JSON beside them, whole or not at all."""
    tensors = {f"{part}/{name}": value for part, group in parts.items() for name, value in group.items()}
    unfinished = path.with_suffix(".unfinished")
    save_file(copied(tensors), unfinished, metadata={"state": json.dumps(state)})
    unfinished.replace(path)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensors], dict[str, Any]]:
    """What `write_checkpoint` wrote; a group without tensors is not there."""
    parts: dict[str, Tensors] = {}
    with safe_open(path, "pt") as file:
        state: dict[str, Any] = json.loads(file.metadata()["state"])
        for key in file.keys():  # noqa: SIM118 — it is no mapping
            part, _, name = key.partition("/")
            parts.setdefault(part, {})[name] = file.get_tensor(key)
    return parts, state


def copied(tensors: Mapping[str, Tensor]) -> Tensors:
    """Copies on the CPU that share no memory."""
    return {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}


def moments(optimiser: torch.optim.Optimizer) -> Tensors:
    """All that an optimiser remembers of the steps before."""
    state = optimiser.state_dict()["state"]
    return {f"{number}.{name}": value for number, values in state.items() for name, value in values.items()}


def restore_moments(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Gives an optimiser what `moments` returned."""
    state: dict[int, Tensors] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
