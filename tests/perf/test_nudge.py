"""NUDGE against its authors' package, and against the one matrix product that nobody can do without.

100,000 documents of 384 dimensions, 20,000 train and 2,000 dev queries. Prints, for each method, how many times faster
than `nudge-ft` it is, and how many products Q·Vᵀ with a row maximum its time would pay for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import nudge
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from methods import Corpus, Csr, Judged, Problem, parse

N, D, TRAIN, DEV = 100_000, 384, 20_000, 2_000


@cache
def problem() -> Problem:
    random = torch.Generator().manual_seed(0)
    vectors = normalize(torch.randn(N, D, generator=random), dim=1)

    def judged(m: int) -> Judged:
        answers = torch.randint(N // 5, (m,), generator=random)
        noise = torch.randn(m, D, generator=random) / D**0.5
        return Judged(
            [], normalize(vectors[answers] + 1.5 * noise, dim=1), relevant=Csr.from_rows(answers[:, None].tolist())
        )

    return Problem(Corpus.from_vectors(vectors.numpy()), judged(TRAIN), judged(DEV))


@cache
def product_seconds() -> float:
    """The best of three."""
    queries, vectors = problem().dev.vectors, torch.from_numpy(problem().corpus.shards[0])
    return min(_seconds(lambda: (queries @ vectors.T).max(dim=1)) for _ in range(3))


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def reference_seconds(name: str) -> float:
    sets = [
        {"q_embs": judged.vectors.numpy(), "q_ans_indx": judged.relevant.columns[:, None].tolist()}
        for judged in (problem().train, problem().dev)
    ]
    method = getattr(nudge, name)(torch.device("cpu"))
    return _seconds(lambda: method.finetune_embeddings(np.array(problem().corpus.shards[0]), *sets))


@pytest.mark.parametrize(("name", "theirs"), [("nudge-m", "NUDGEM"), ("nudge-n", "NUDGEN")])
def test_speed(benchmark: Any, name: str, theirs: str) -> None:
    problem()
    benchmark.pedantic(lambda: parse(name).fit(problem()), rounds=3, warmup_rounds=1)
    ours = benchmark.stats.stats.min
    times, products = reference_seconds(theirs) / ours, ours / product_seconds()
    print(f"\nSPEED {name} {times:.1f}x of nudge-ft, {products:.1f}x of one product ({ours:.2f} s)")
