"""The frame of every fit that trains the encoder."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path

from methods._contract import Method, Problem, TrainableEncoder, check_dev, check_train
from methods._errors import ProblemError, Unsuited
from methods._scratch import Trained, trained_once
from methods._tuned import VectorTuned


def fine_tuned(
    method: Method, problem: Problem, train: Callable[[TrainableEncoder, Path], Trained], *, steps: int, checked: bool
) -> VectorTuned:
    """Trains a copy of the encoder, and encodes the documents anew unless its best weights are the untrained ones.

    Args:
        method: which trains.
        problem: whose encoder is trained.
        train: trains an encoder in place, and is given a folder for checkpoints to go on from.
        steps: optimiser steps at the most; without any the encoder stays as it is.
        checked: whether the dev queries choose the checkpoint.

    Raises:
        Unsuited: when the encoder cannot be trained.
        ProblemError: when there is no training pair, no dev query has an answer although they are to choose, or
            training fails, which is told with the method's name.
    """
    check_train(problem)
    if checked:
        check_dev(problem)
    if not isinstance(problem.encoder, TrainableEncoder):
        raise Unsuited(f"{method.name}: this encoder cannot be trained; take one whose weights are at hand")
    encoder = deepcopy(problem.encoder)
    try:
        step = trained_once(method, problem, encoder, partial(train, encoder)) if steps else 0
    except ProblemError as found:
        raise type(found)(f"{method.name}: {found}") from None
    return VectorTuned(
        problem.corpus,
        encoder=encoder if step else None,
        similarity=problem.similarity,
        device=problem.device,
        chosen={"steps": step, "check_every": 0} if checked else {},
    )
