"""NUDGE on a problem of FEVER's size, beside the authors' package on the same card where that fits."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from methods import Corpus, Csr, Judged, Problem, parse, top_k

N, D, TRAIN, DEV = 5_400_000, 768, 100_000, 10_000


@pytest.fixture(scope="module")
def problem() -> Problem:
    device = torch.device("cuda")
    random = torch.Generator(device).manual_seed(0)
    vectors = np.empty((N, D), np.float32)
    for at in range(0, N, 100_000):
        block = torch.randn(min(100_000, N - at), D, generator=random, device=device)
        vectors[at : at + 100_000] = normalize(block, dim=1).cpu()
    on_cpu = torch.Generator().manual_seed(1)

    def judged(m: int) -> Judged:
        answers = torch.randint(N // 50, (m,), generator=on_cpu)
        noise = torch.randn(m, D, generator=on_cpu) / D**0.5
        queries = normalize(torch.from_numpy(vectors[answers.numpy()]) + 1.5 * noise, dim=1)
        return Judged([], queries, relevant=Csr.from_rows(answers[:, None].tolist()))

    return Problem(Corpus.from_vectors(vectors), judged(TRAIN), judged(DEV), device=device)


def seconds(run: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def transfer(problem: Problem) -> None:
    for _, block in problem.corpus.blocks(problem.device, 131_072):
        del block


def theirs(problem: Problem, peer: str) -> str:
    import nudge

    method = getattr(nudge, peer)(problem.device)
    sets = [
        {"q_embs": part.vectors.numpy(), "q_ans_indx": part.relevant.columns[:, None].tolist()}
        for part in (problem.train, problem.dev)
    ]
    try:
        return f"{seconds(lambda: method.finetune_embeddings(problem.corpus.shards[0], *sets)):.1f} s"
    except torch.OutOfMemoryError:
        return "out of memory"


@pytest.mark.parametrize(("name", "peer"), [("nudge-m", "NUDGEM"), ("nudge-n", "NUDGEN")])
def test_seconds(problem: Problem, name: str, peer: str) -> None:
    copied = seconds(lambda: transfer(problem))
    passed = seconds(lambda: top_k(problem.dev.vectors, problem.corpus, 10, device=problem.device))
    whole = seconds(lambda: parse(name).fit(problem))
    print(
        f"\nFEVER {name} on {torch.cuda.get_device_name(problem.device)}: transfer {copied:.1f} s, with the pass "
        f"{passed:.1f} s, all of it {whole:.1f} s; nudge-ft {theirs(problem, peer)}"
    )
    assert whole > 0
