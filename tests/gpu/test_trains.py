"""Training on a GPU: it learns there, from where it was killed, and without the memory for a whole batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from problems import make_split
from torch.nn.functional import normalize

from bench.clock import Clock
from bench.embed.sentence import SentenceEncoder
from methods import Problem, fit
from methods.full_finetune import FullFinetune

METHOD = FullFinetune(batch=16, steps=60, learning_rate=1e-2, check_every=20, max_drop=1.0)


@pytest.fixture
def problem(tiny_model: Path, gpu: torch.device) -> Problem:
    """The toy problem with a transformer on the GPU."""
    split = make_split().problem
    encoder = SentenceEncoder("tiny", tiny_model, "1", device=str(gpu))
    vectors = normalize(encoder.encode(split.corpus.items, "document"), dim=1).numpy()
    train, dev = (replace(part, vectors=encoder.encode(part.items, "query")) for part in (split.train, split.dev))
    corpus = replace(split.corpus, shards=(vectors,))
    return replace(split, encoder=encoder, corpus=corpus, train=train, dev=dev, device=gpu)


def test_learns_on_the_gpu(problem: Problem, gpu: torch.device) -> None:
    clock = Clock(gpu)
    tuned = fit(replace(METHOD, check_every=0), replace(problem, meter=clock))
    loss = clock.curves["loss"]
    assert sum(loss[-10:]) < 0.9 * sum(loss[:10])
    assert {weight.device.type for weight in tuned.encoder.model.parameters()} == {"cuda"}
    assert clock.memory()["device"] > 0


def test_goes_on_without_the_memory_for_a_whole_batch(problem: Problem, monkeypatch: Any) -> None:
    from sentence_transformers import SentenceTransformer

    forward = SentenceTransformer.forward

    def cramped(self: Any, features: dict[str, Any], **named: Any) -> Any:
        out = forward(self, features, **named)
        if torch.is_grad_enabled() and len(out["sentence_embedding"]) > 4:
            raise torch.OutOfMemoryError
        return out

    monkeypatch.setattr(SentenceTransformer, "forward", cramped)
    clock = Clock(problem.device)
    fit(replace(METHOD, check_every=0), replace(problem, meter=clock))
    loss = clock.curves["loss"]
    assert sum(loss[-10:]) < 0.9 * sum(loss[:10])
