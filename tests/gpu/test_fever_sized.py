"""NUDGE on a problem of FEVER's size, beside the authors' package on the same card where that fits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from nudge_alone import make_problem, theirs

from methods import Problem, parse, top_k


@pytest.fixture(scope="module")
def problem() -> Problem:
    made = make_problem(5_400_000, d=768, train=100_000, dev=10_000)
    return replace(made, device=torch.device("cuda"))


def seconds(run: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def transfer(problem: Problem) -> None:
    for _, block in problem.corpus.blocks(problem.device, 131_072):
        del block


@pytest.mark.parametrize(("name", "peer"), [("nudge-m", "NUDGEM"), ("nudge-n", "NUDGEN")])
def test_seconds(problem: Problem, name: str, peer: str) -> None:
    copied = seconds(lambda: transfer(problem))
    passed = seconds(lambda: top_k(problem.dev.vectors, problem.corpus, 10, device=problem.device))
    whole = seconds(lambda: parse(name).fit(problem))
    print(
        f"\nFEVER {name} on {torch.cuda.get_device_name(problem.device)}: transfer {copied:.1f} s, with the pass "
        f"{passed:.1f} s, search and moves {whole - passed:.1f} s, all of it {whole:.1f} s",
        flush=True,
    )
    try:
        theirs_alone = f"{seconds(theirs(problem, peer, nontrain=True)):.1f} s"
    except torch.OutOfMemoryError:
        theirs_alone = "out of memory"
    print(f"FEVER {peer} of nudge-ft, with its nontrain_embeddings: {theirs_alone}", flush=True)
