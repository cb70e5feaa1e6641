"""The adaptor's loss against sentence-transformers', and what its training must do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import make_split
from sentence_transformers.sentence_transformer import losses
from torch import nn

from bench.clock import Clock
from methods import Adaptor, Metric, ProblemError, fit, parse


class Embedded(nn.Module):
    """Stands in for a sentence-transformers model: features are vectors, documents pass, queries are mapped."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"sentence_embedding": self.layer(features["query"]) if "query" in features else features["document"]}


def _layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(12, 12, bias=False)


def _pairs_in_batch(problem, pairs):
    relevant = problem.train.relevant
    return problem.train.vectors[relevant.rows[pairs]], problem.corpus.rows(relevant.columns[pairs])


def test_loss_equals_multiple_negatives_ranking_loss() -> None:
    problem = make_split().problem
    pairs = torch.tensor([3, 9, 20, 31, 44, 45])
    layer = _layer()
    queries, documents = _pairs_in_batch(problem, pairs)
    theirs = losses.MultipleNegativesRankingLoss(Embedded(layer), scale=20.0)
    expected = theirs([{"query": queries}, {"document": documents}], torch.arange(6))
    assert Adaptor(compat="reference")._loss(layer, problem, pairs).item() == pytest.approx(expected.item(), rel=1e-5)


def test_other_answers_of_a_query_are_no_negatives() -> None:
    problem = make_split().problem
    pairs = torch.arange(len(problem.train.relevant.columns))
    layer = _layer()
    queries, documents = _pairs_in_batch(problem, pairs)
    relevant = problem.train.relevant
    judged = [set(relevant.take(row[None]).columns.tolist()) for row in relevant.rows]
    total = 0.0
    for number, query in enumerate(layer(queries).detach()):
        cosines = nn.functional.cosine_similarity(query[None], documents) * 20
        negatives = [
            c for at, c in enumerate(cosines) if at == number or int(relevant.columns[at]) not in judged[number]
        ]
        total += float(torch.logsumexp(torch.stack(negatives), 0) - cosines[number])
    assert Adaptor()._loss(layer, problem, pairs).item() == pytest.approx(total / len(pairs), rel=1e-5)


def test_the_best_checkpoint_is_kept_and_it_is_never_worse_than_the_start() -> None:
    split = make_split()
    metric = Metric.parse("ndcg@10")
    for rate in (1e-2, 10.0):
        clock = Clock(torch.device("cpu"))
        problem = replace(split.problem, meter=clock)
        tuned = fit(Adaptor(batch=32, steps=60, check_every=5, learning_rate=rate), problem)
        reached = metric.mean(tuned.search(problem.dev, 10), problem.dev.relevant)
        start = metric.mean(fit(parse("none"), problem).search(problem.dev, 10), problem.dev.relevant)
        assert reached == pytest.approx(max(clock.curves["dev"]), abs=1e-9)
        assert reached >= start


def test_training_lowers_the_loss() -> None:
    clock = Clock(torch.device("cpu"))
    fit(Adaptor(batch=500, steps=200, learning_rate=1e-2, max_drop=1.0), replace(make_split().problem, meter=clock))
    assert clock.counts["steps"] == len(clock.curves["loss"]) == 200
    assert clock.curves["loss"][-1] < 0.8 * clock.curves["loss"][0]


def test_training_stops_when_the_dev_metric_falls_or_stays() -> None:
    clock = Clock(torch.device("cpu"))
    problem = replace(make_split().problem, meter=clock)
    fit(Adaptor(batch=32, steps=500, check_every=5, patience=20, learning_rate=1e-9), problem)
    assert clock.counts["steps"] == 20


def test_a_loss_that_is_not_finite_is_an_error_with_its_step() -> None:
    with pytest.raises(ProblemError, match=r"loss is nan at step 0; lower learning_rate"):
        fit(Adaptor(scale=float("nan")), make_split().problem)


@pytest.mark.parametrize(("warmup", "expected"), [(0, [0.25, 0.5, 0.75, 1.0]), (2, [0.5, 1.0, 1.0, 1.0])])
def test_the_learning_rate_warms_up(warmup: int, expected: list[float], monkeypatch) -> None:
    """Over all of the steps by default: with 10,000 of 10,000, as published, the rate never stops rising."""
    rates = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), step(self)))
    fit(Adaptor(batch=32, steps=4, warmup=warmup, learning_rate=1.0, max_drop=1.0, patience=9), make_split().problem)
    assert rates == pytest.approx(expected)
