"""Negatives from a softmax over all documents: how they are drawn and weighed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from math import exp, log

import numpy as np
import pytest
import torch
from problems import make_split
from scipy import stats
from torch.nn.functional import normalize

from methods import Corpus, Csr
from methods._negatives import CorrectorNetwork, gumbel_top_k, in_batch, sampled_softmax


def draw(logits: list[float], k: int, times: int, barred: list[int] = (), seed: int = 0, **named):
    """Draws from documents with these logits, as the first coordinates of vectors."""
    documents = Corpus((), (torch.tensor(logits)[:, None].numpy(),), np.arange(len(logits)))
    named = {"scale": 1.0, "current": lambda block: block, **named}
    random = torch.Generator().manual_seed(seed)
    return gumbel_top_k(
        torch.ones(times, 1), documents, k, barred=Csr.from_rows([barred] * times), random=random, **named
    )


LOGITS = [1.2, -0.4, 0.3, 2.0, 0.0]


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.0])
def test_draws_are_without_replacement_from_the_softmax(scale: float) -> None:
    times = 40_000
    drawn = draw(LOGITS, 2, times, barred=[3], scale=scale)
    p = {row: exp(scale * value) for row, value in enumerate(LOGITS) if row != 3}
    p = {row: value / sum(p.values()) for row, value in p.items()}
    expected = {(i, j): p[i] * p[j] / (1 - p[i]) for i in p for j in p if i != j}
    found = Counter(map(tuple, drawn.rows.tolist()))
    assert found.keys() == expected.keys()
    test = stats.chisquare([found[pair] for pair in expected], [times * value for value in expected.values()])
    assert test.pvalue > 0.01


@pytest.mark.parametrize("k", [1, 2, 4])
def test_drawn_documents_over_their_inclusion_probability_stand_for_all(k: int) -> None:
    drawn = draw(LOGITS, k, 40_000, barred=[3])
    estimates = (torch.tensor(LOGITS)[drawn.rows] - drawn.log_inclusion).double().exp().sum(1)
    exact = sum(exp(value) for row, value in enumerate(LOGITS) if row != 3)
    assert abs(estimates.mean() - exact) < max(4 * estimates.std() / len(estimates) ** 0.5, 1e-6)


def test_a_query_with_too_few_documents_gets_them_all() -> None:
    drawn = draw(LOGITS, 7, 3, barred=[3, 1])
    assert [sorted(row) for row in drawn.rows.tolist()] == [[-1, -1, -1, -1, 0, 2, 4]] * 3
    assert (drawn.log_inclusion == 0).all()


@pytest.mark.parametrize("block", [1, 7, 16, 100])
def test_neither_blocks_nor_shards_change_what_is_drawn(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    problem = make_split().problem
    vectors = problem.corpus.shards[0]
    barred = problem.train.relevant

    def drawn(corpus: Corpus):
        queries = normalize(problem.train.vectors, dim=1)
        return gumbel_top_k(queries, corpus, 6, scale=5.0, barred=barred, random=torch.Generator().manual_seed(2))

    whole = drawn(problem.corpus)
    monkeypatch.setattr("methods._negatives.BLOCK", block)
    parts = drawn(replace(problem.corpus, shards=(vectors[:13], vectors[13:14], vectors[14:])))
    assert torch.equal(whole.rows, parts.rows)
    torch.testing.assert_close(whole.log_inclusion, parts.log_inclusion)


def test_documents_of_a_batch_are_as_probable_as_in_all_batches() -> None:
    documents = [0, 0, 0, 1, 2, 2, 3]  # of seven pairs
    found = in_batch(torch.tensor([3, 2, 0]), torch.bincount(torch.tensor(documents)))
    assert found.rows.tolist() == [[0, 2, 3]] * 3
    for own in range(7):
        others = [documents[pair] for pair in range(7) if pair != own]
        for column, document in enumerate([0, 2, 3]):
            if document != documents[own]:
                share = np.mean([document in batch for batch in combinations(others, 2)])
                assert found.log_inclusion[0, column].item() == pytest.approx(log(share), abs=1e-6)


def test_a_batch_of_all_pairs_shows_every_document() -> None:
    everything = torch.tensor([0, 1, 2])
    assert (in_batch(everything, torch.ones(3, dtype=torch.int64)).log_inclusion == 0).all()


@pytest.mark.parametrize("log_inclusion", [False, True])
def test_the_loss_is_that_of_the_sampled_softmax(log_inclusion: bool) -> None:
    logits = torch.tensor([[0.3, 1.0, -0.5, 2.0], [1.5, 0.2, 0.1, -1.0]])
    known = torch.tensor([[True, False, True, False], [True, False, False, False]])
    inclusion = torch.tensor([[-0.1, -2.0, -1.0], [-0.7, -0.2, -3.0]])
    total = 0.0
    for row in range(2):
        others = [
            exp(logits[row, at] - (inclusion[row, at - 1] if log_inclusion else 0))
            for at in (1, 2, 3)
            if not known[row, at]
        ]
        total -= log(exp(logits[row, 0]) / (exp(logits[row, 0]) + sum(others)))
    found = sampled_softmax(logits, inclusion if log_inclusion else None, known)
    assert found.item() == pytest.approx(total / 2, rel=1e-5)


def test_the_network_begins_as_the_identity() -> None:
    vectors = normalize(torch.randn(50, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    torch.testing.assert_close(CorrectorNetwork(8, 0)(vectors), vectors)
