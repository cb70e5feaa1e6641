"""A method must choose and find on a GPU what it chooses and finds on the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from methods import Corpus, Csr, Judged, Problem, VectorTuned, fit, parse

METHODS = ["none", "nudge-m", "nudge-n", "nudge-n[compat=reference]", "nudge-loo", "nnn", "query-knn"]


def make_problem(n: int = 20_000, d: int = 128) -> Problem:
    random = torch.Generator().manual_seed(0)
    vectors = normalize(torch.randn(n, d, generator=random), dim=1)
    turn = torch.linalg.qr(torch.eye(d) + 0.05 * torch.randn(d, d, generator=random)).Q

    def judged(m: int) -> Judged:
        answers = torch.randint(n // 10, (m,), generator=random)
        noise = torch.randn(m, d, generator=random) / d**0.5
        return Judged([], (vectors[answers] + noise) @ turn, relevant=Csr.from_rows(answers[:, None].tolist()))

    return Problem(Corpus.from_vectors(vectors.numpy()), judged(4_000), judged(500))


@pytest.mark.parametrize("precision", ["highest", "medium"])
@pytest.mark.parametrize("label", METHODS)
def test_finds_the_same(label: str, precision: str, gpu: torch.device) -> None:
    problem = make_problem()
    there = replace(problem, device=gpu)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        found = fit(parse(label), there)
        ranking = found.search(there.dev, 100)
    finally:
        torch.set_float32_matmul_precision(before)
    expected = fit(parse(label), problem)
    assert found.chosen == pytest.approx(expected.chosen, abs=1e-9)
    assert torch.equal(ranking.rows, expected.search(problem.dev, 100).rows)
    if isinstance(found, VectorTuned) and found.moved is not None:
        assert torch.allclose(found.moved.vectors, expected.moved.vectors, atol=1e-6)


def test_goes_on_in_halves_when_memory_is_short(gpu: torch.device) -> None:
    there = replace(make_problem(), device=gpu)
    torch.cuda.reset_peak_memory_stats(gpu)
    expected = fit(parse("nudge-n"), there)
    share = 0.5 * torch.cuda.max_memory_allocated(gpu) / torch.cuda.get_device_properties(gpu).total_memory
    refused = torch.cuda.memory_stats(gpu)["num_ooms"]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        found = fit(parse("nudge-n"), there)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert torch.cuda.memory_stats(gpu)["num_ooms"] > refused
    assert found.chosen == pytest.approx(expected.chosen, abs=1e-9)
