"""The adaptor's loss against sentence-transformers', and what its training must do."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import make_split
from sentence_transformers.sentence_transformer import losses
from torch import nn

from bench.clock import Clock
from bench.spec import read_suite
from methods import Adaptor, Corpus, Csr, Metric, ProblemError, fit, parse
from methods._infonce import Pairs
from methods._maps import Maps, Residual
from methods._pool import pooled
from methods._ridge import Ridge


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


def _loss(problem, pairs, layer, compat):
    return Pairs.of(problem, bar=compat == "none").loss(Maps(layer, nn.Identity()), pairs, 20.0).item()


def test_loss_equals_multiple_negatives_ranking_loss() -> None:
    problem = make_split().problem
    pairs = torch.tensor([3, 9, 20, 31, 44, 45])
    layer = _layer()
    queries, documents = _pairs_in_batch(problem, pairs)
    theirs = losses.MultipleNegativesRankingLoss(Embedded(layer), scale=20.0)
    expected = theirs([{"query": queries}, {"document": documents}], torch.arange(6))
    assert _loss(problem, pairs, layer, "reference") == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("excluding", [True, False])
def test_other_answers_and_excluded_documents_are_no_negatives(excluding: bool) -> None:
    problem = make_split().problem
    relevant = problem.train.relevant
    exclude = Csr.from_rows([[row % 30, 59] for row in range(50)]) if excluding else None
    problem = replace(problem, train=replace(problem.train, exclude=exclude))
    pairs = torch.arange(0, len(relevant.columns), 2)
    layer = _layer()
    queries, _ = _pairs_in_batch(problem, pairs)
    shown = sorted(set(relevant.columns[pairs].tolist()))
    total = 0.0
    for pair, query in zip(pairs.tolist(), layer(queries).detach(), strict=True):
        row, answer = int(relevant.rows[pair]), int(relevant.columns[pair])
        barred = {*relevant.take(torch.tensor([row])).columns.tolist(), *([row % 30, 59] if excluding else [])}
        kept = [answer, *(column for column in shown if column not in barred)]
        cosines = nn.functional.cosine_similarity(query[None], problem.corpus.rows(torch.tensor(kept))) * 20
        total += float(torch.logsumexp(cosines, 0) - cosines[0])
    assert _loss(problem, pairs, layer, "none") == pytest.approx(total / len(pairs), rel=1e-5)


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


@pytest.mark.parametrize(
    ("warmup", "expected"), [(4, [0.25, 0.5, 0.75, 1.0]), (2, [0.5, 1.0, 1.0, 1.0]), (0, [1.0] * 4)]
)
def test_the_learning_rate_warms_up(warmup: int, expected: list[float], monkeypatch) -> None:
    rates = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), step(self)))
    fit(Adaptor(batch=32, steps=4, warmup=warmup, learning_rate=1.0, max_drop=1.0, patience=9), make_split().problem)
    assert rates == pytest.approx(expected)


VARIANTS = [(kind, side) for kind in ("linear", "mlp", "ridge") for side in ("query", "document", "both")]


@pytest.mark.parametrize(("kind", "side"), VARIANTS)
def test_only_the_side_that_is_asked_for_is_mapped(kind: str, side: str) -> None:
    """Queries by a map, documents for good and at unit length; equal documents stay equal to the bit."""
    split = make_split()
    problem = split.problem
    tuned = fit(Adaptor(kind=kind, side=side, ridge=3.0, steps=20, batch=16, check_every=0), problem)
    everything = torch.arange(problem.corpus.n)
    documents = tuned.corpus.rows(everything)
    assert torch.equal(tuned.queries(split.test).vectors, split.test.vectors) == (side == "document")
    assert torch.equal(documents, problem.corpus.rows(everything)) == (side == "query")
    assert torch.allclose(documents.norm(dim=1), torch.ones(60))
    left = tuned.apply(problem)
    assert torch.equal(left.corpus.rows(everything), documents)
    assert torch.equal(left.train.vectors, tuned.queries(problem.train).vectors)


@pytest.mark.parametrize(("kind", "side"), VARIANTS)
def test_every_variant_gains_on_the_train_queries(kind: str, side: str) -> None:
    problem = make_split().problem
    problem = replace(problem, dev=problem.train)
    metric = Metric.parse("ndcg@10")
    start = metric.mean(fit(parse("none"), problem).search(problem.train, 10), problem.train.relevant)
    tuned = fit(Adaptor(kind=kind, side=side, steps=100, batch=32, learning_rate=1e-2, check_every=20), problem)
    assert metric.mean(tuned.search(problem.train, 10), problem.train.relevant) > start + 0.02


@pytest.mark.parametrize("side", ["document", "both"])
def test_documents_are_mapped_block_by_block_after_they_were_moved(side: str, monkeypatch) -> None:
    problem = fit(parse("nudge-n"), make_split().problem).apply(make_split().problem)
    method = Adaptor(side=side, steps=20, batch=16, check_every=0)
    whole = fit(method, problem).corpus.rows(torch.arange(60))
    monkeypatch.setattr("methods._maps.BLOCK", 7)
    assert torch.allclose(fit(method, problem).corpus.rows(torch.arange(60)), whole, atol=1e-7)


def test_equal_documents_stay_equal() -> None:
    vectors = nn.functional.normalize(torch.randn(3, 12, generator=torch.Generator().manual_seed(0)), dim=1)
    problem = make_split().problem
    same = Corpus.from_vectors(vectors[0].repeat(60, 1).numpy())
    tuned = fit(Adaptor(side="document", steps=20, batch=16, check_every=0), replace(problem, corpus=same))
    documents = tuned.corpus.rows(torch.arange(60))
    assert torch.equal(documents, documents[:1].repeat(60, 1))


def test_a_chain_carries_mapped_documents(tmp_path) -> None:
    split = make_split()
    chain = parse("adaptor[side=document,steps=20,batch=16]+adaptor[steps=20,batch=16]+nudge-n")
    tuned = fit(chain, split.problem)
    left = split.problem
    for link in chain.links:
        done = fit(link, left)
        queries, left = done.queries(split.test), done.apply(left)
        split = replace(split, test=queries)
    by_hand = fit(parse("none"), left).search(split.test, 15)
    test = make_split().test
    assert torch.equal(tuned.search(test, 15).scores, by_hand.scores)
    tuned.save(tmp_path / "tuned")
    assert torch.equal(chain.load(tmp_path / "tuned", tuned.base).search(test, 15).scores, by_hand.scores)


def test_the_mlp_is_residual_and_starts_from_the_identity() -> None:
    module = Residual(12)
    vectors = torch.randn(5, 12)
    assert torch.equal(module(vectors), vectors)
    torch.manual_seed(0)
    nn.init.normal_(module.out.weight)
    nn.init.normal_(module.out.bias)
    state = {name: value.double() for name, value in module.state_dict().items()}
    hidden = vectors.double() @ state["hidden.weight"].T + state["hidden.bias"]
    gelu = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    expected = vectors + gelu @ state["out.weight"].T + state["out.bias"]
    assert torch.allclose(module(vectors).double(), expected, atol=1e-5)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 30), st.floats(1e-3, 1e4))
@settings(max_examples=50, deadline=None)
def test_ridge_solves_its_least_squares(seed: int, d: int, pairs: int, ridge: float) -> None:
    """Against a solver of the augmented system: the pairs, and √λ·W = √λ·I below them."""
    random = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(rows, d, generator=random, dtype=torch.float64) for rows in (7, 5))
    i, j = (torch.randint(rows, (pairs,), generator=random) for rows in (7, 5))
    prior = ridge**0.5 * torch.eye(d, dtype=torch.float64)
    expected = torch.linalg.lstsq(torch.cat([x[i], prior]), torch.cat([y[j], prior])).solution.T
    assert torch.allclose(Ridge(x, i).solve(y, j, ridge), expected, rtol=1e-6, atol=1e-8)


def test_ridge_takes_unit_queries_to_unit_documents_and_back() -> None:
    problem = make_split().problem
    relevant = problem.train.relevant
    queries = nn.functional.normalize(problem.train.vectors.double()[relevant.rows], dim=1)
    documents = nn.functional.normalize(problem.corpus.rows(relevant.columns).double(), dim=1)
    for ridge in (0.1, 10.0):

        def solved(x, y, ridge=ridge):
            prior = ridge**0.5 * torch.eye(12, dtype=torch.float64)
            return torch.linalg.lstsq(torch.cat([x, prior]), torch.cat([y, prior])).solution

        def mapped(side, problem=problem, ridge=ridge):
            tuned = fit(Adaptor(kind="ridge", side=side, ridge=ridge), problem)
            assert tuned.chosen == {}
            return tuned.queries(problem.train).vectors.double(), tuned.corpus.rows(torch.arange(60)).double()

        every_document = problem.corpus.rows(torch.arange(60)).double()
        to_documents, to_queries = solved(queries, documents), solved(documents, queries)
        there = nn.functional.normalize(queries @ to_documents, dim=1)
        for_both = solved(documents, there)
        unit = nn.functional.normalize
        assert torch.allclose(mapped("query")[0], problem.train.vectors.double() @ to_documents, atol=1e-5)
        assert torch.allclose(mapped("document")[1], unit(every_document @ to_queries, dim=1), atol=1e-5)
        assert torch.allclose(mapped("both")[0], mapped("query")[0], atol=1e-6)
        assert torch.allclose(mapped("both")[1], unit(every_document @ for_both, dim=1), atol=1e-5)


@pytest.mark.parametrize("side", ["query", "document", "both"])
def test_a_ridge_of_almost_infinity_leaves_the_search(side: str) -> None:
    split = make_split()
    tuned = fit(Adaptor(kind="ridge", side=side, ridge=1e12), split.problem)
    before = fit(parse("none"), split.problem).search(split.test, 10)
    assert torch.equal(tuned.search(split.test, 10).rows, before.rows)


def test_the_ridge_of_the_best_dev_metric_is_kept() -> None:
    clock = Clock(torch.device("cpu"))
    problem = replace(make_split().problem, meter=clock)
    tuned = fit(Adaptor(kind="ridge"), problem)
    reached = Metric.parse("ndcg@10").mean(tuned.search(problem.dev, 10), problem.dev.relevant)
    assert reached == max(clock.curves["dev"])
    pairs = len(problem.train.relevant.columns)
    assert clock.curves["dev"].index(reached) == pytest.approx(-2 * math.log10(tuned.chosen["ridge"] * 12 / pairs) + 6)


@pytest.mark.parametrize("ridge", [0.0, -1.0])
def test_a_ridge_that_is_not_positive_is_refused(ridge: float) -> None:
    with pytest.raises(ProblemError, match=r"ridge is .*; pass a positive number"):
        fit(Adaptor(kind="ridge", ridge=ridge), make_split().problem)


def test_a_pool_stands_for_a_large_corpus() -> None:
    """It holds all answers and the nearest documents; grades and exclusions are kept, and so is what is found."""
    problem = make_split().problem
    pool = pooled(problem, 2)
    nearest = fit(parse("none"), problem).search(problem.dev, 2).rows
    answers = problem.dev.relevant.columns.split(problem.dev.relevant.lengths.tolist())
    barred = Csr.from_rows([[*own.tolist(), 5] if row == 2 else own.tolist() for row, own in enumerate(answers)])
    without = replace(problem.dev, exclude=barred)
    others = fit(parse("none"), problem).search(without, 2).rows
    expected = {
        *problem.train.relevant.columns.tolist(),
        *problem.dev.relevant.columns.tolist(),
        *others.flatten().tolist(),
    }
    rows = torch.tensor(sorted(expected))
    assert len(rows) < 60
    assert torch.equal(pool.corpus.rows(torch.arange(pool.corpus.n)), problem.corpus.rows(rows))
    assert sorted(pool.corpus.priority.tolist()) == list(range(len(rows)))
    assert (pool.corpus.priority.argsort() == problem.corpus.priority[rows.numpy()].argsort()).all()
    for small, large in ((pool.train, problem.train), (pool.dev, problem.dev)):
        assert torch.equal(rows[small.relevant.columns], large.relevant.columns)
        assert torch.equal(small.relevant.values, large.relevant.values)
        assert {*rows[small.exclude.columns].tolist()} <= {5}
        assert len(small.exclude.columns) == (5 in expected)
    found = fit(parse("none"), pool).search(pool.dev, 2).rows
    assert torch.equal(rows[found], nearest)


@pytest.mark.parametrize("kind", ["linear", "ridge"])
def test_a_pool_of_everything_changes_nothing(kind: str, monkeypatch) -> None:
    split = make_split()
    method = Adaptor(kind=kind, side="both", batch=16, steps=20, check_every=5)
    whole = fit(method, split.problem)
    monkeypatch.setattr("methods.adaptor.WHOLE", 0)
    monkeypatch.setattr("methods.adaptor.NEAREST", 60)
    found = fit(method, split.problem)
    assert found.chosen == whole.chosen
    assert torch.equal(found.search(split.test, 9).scores, whole.search(split.test, 9).scores)


def test_the_published_protocol_is_a_setting() -> None:
    (published,) = (method for method in read_suite("paper").methods if method.startswith("adaptor"))
    schedule = {"batch": 4096, "steps": 10_000, "warmup": 10_000, "learning_rate": 1e-3, "scale": 20.0}
    stopping = {"check_every": 50, "patience": 1_000, "max_drop": 0.05, "metric": "hit@1"}
    assert parse(published) == Adaptor(**schedule, **stopping, compat="reference")
