"""Full fine-tuning against a loop of our own in plain torch, and what must hold when it is disturbed."""

from __future__ import annotations

import re
import shutil
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import make_split
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from torch.nn.functional import normalize

from bench.clock import Clock
from bench.embed.sentence import SentenceEncoder
from methods import Chain, Csr, Judged, Metric, Problem, ProblemError, Unsuited, VectorTuned, fit, top_k
from methods._hard_negatives import hard_negatives
from methods._pool import DevPool
from methods._trainer import TRIES, DisjointBatches
from methods.full_finetune import FullFinetune
from methods.lora import Lora
from methods.nudge_n import NudgeN

SMALL = FullFinetune(batch=8, steps=40, learning_rate=5e-2, check_every=8, max_drop=1.0)


@pytest.fixture(autouse=True)
def in_float32(monkeypatch: pytest.MonkeyPatch, float32: None) -> None:
    monkeypatch.setattr("methods._trainer.has_bfloat16", lambda device: False)


def weights(tuned: VectorTuned) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in tuned.encoder.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def transformer(tiny_model: Path) -> Problem:
    """The toy problem with a transformer that has dropout, so that its generator's state matters."""
    problem = make_split().problem
    encoder = SentenceEncoder("tiny", tiny_model, "1")
    vectors = normalize(encoder.encode(problem.corpus.items, "document"), dim=1).numpy()
    train, dev = (replace(part, vectors=encoder.encode(part.items, "query")) for part in (problem.train, problem.dev))
    return replace(problem, encoder=encoder, corpus=replace(problem.corpus, shards=(vectors,)), train=train, dev=dev)


def test_trains_as_a_plain_loop_does() -> None:
    problem = make_split().problem
    tuned = fit(replace(SMALL, steps=12, learning_rate=1e-2, check_every=0), problem)
    model = deepcopy(problem.encoder).model
    relevant = problem.train.relevant
    batches = DisjointBatches([relevant.rows, relevant.columns], relevant, 8, 12, seed=0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for batch in batches:
        texts = [problem.train.items[relevant.rows[pair]] for pair in batch]
        answers = [problem.corpus.items[relevant.columns[pair]] for pair in batch]
        queries, documents = (
            normalize(model(model.preprocess(part))["sentence_embedding"]) for part in (texts, answers)
        )
        loss = -(20 * queries @ documents.T).log_softmax(dim=1).diagonal().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    for name, expected in model.state_dict().items():
        assert torch.allclose(weights(tuned)[name], expected, atol=2e-5), name


def test_gains_on_what_it_has_learnt() -> None:
    problem = make_split().problem
    tuned = fit(replace(SMALL, check_every=0), problem)
    metric = Metric.parse("ndcg@10")
    untrained = metric.mean(VectorTuned(problem.corpus).search(problem.train, 10), problem.train.relevant)
    assert metric.mean(tuned.search(problem.train, 10), problem.train.relevant) > untrained + 0.2


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_document_of_a_batch_answers_the_query_of_another_pair(data: st.DataObject) -> None:
    answers = data.draw(st.lists(st.sets(st.integers(0, 9), max_size=4), min_size=2, max_size=12))
    relevant = Csr.from_rows([sorted(row) for row in answers])
    if not len(relevant.columns):
        return
    pairs = [relevant.rows, relevant.columns]
    if data.draw(st.booleans()):
        pairs.append(torch.randint(10, (len(relevant.columns),), generator=torch.Generator().manual_seed(0)))
    size, seed = data.draw(st.integers(1, 6)), data.draw(st.integers(0, 3))
    batches = list(DisjointBatches(pairs, relevant, size, 9, seed))
    assert len(batches) == 9
    for batch in batches:
        assert 1 <= len(batch) <= size
        for pair in batch:
            for other in set(batch) - {pair}:
                shown = {int(rows[other]) for rows in pairs[1:]}
                assert not shown & answers[int(relevant.rows[pair])]


def test_batches_are_full_and_show_every_pair_where_all_pairs_agree() -> None:
    relevant = Csr.from_rows([[row] for row in range(24)])
    batches = list(DisjointBatches([relevant.rows, relevant.columns], relevant, 8, 6, seed=1))
    assert [len(batch) for batch in batches] == [8] * 6
    assert sorted(chain(*batches[:3])) == sorted(chain(*batches[3:])) == list(range(24))
    assert batches[:3] != batches[3:]
    assert TRIES > 1


def test_dev_metric_is_taken_among_answers_and_the_best_others() -> None:
    problem = make_split().problem
    pool = DevPool.of(problem, Metric.parse("ndcg@10"))
    answers = {*problem.train.relevant.columns.tolist(), *problem.dev.relevant.columns.tolist()}
    expected = set(answers)
    unit = normalize(problem.dev.vectors, dim=1) @ problem.corpus.rows(torch.arange(60)).T
    for row, scores in enumerate(unit):
        own = problem.dev.relevant.take(torch.tensor([row])).columns.tolist()
        others = [at for at in scores.argsort(descending=True).tolist() if at not in own]
        expected |= set(others[:15])
    found = {problem.corpus.items.index(item) for item in pool.pool.corpus.items}
    assert answers <= found | {7}
    assert len(expected ^ found) <= 2  # documents 3 and 7 are twins
    assert pool.untrained() == pytest.approx(pool.value(problem.encoder), abs=1e-9)
    whole = Metric.parse("ndcg@10").mean(
        top_k(problem.dev.vectors, problem.corpus, 10, exclude=problem.dev.exclude), problem.dev.relevant
    )
    assert pool.untrained() >= whole - 1e-9


def test_dev_metric_keeps_the_grades() -> None:
    problem = make_split().problem
    everything = replace(
        problem, train=replace(problem.train, relevant=Csr.from_rows([range(60)] * len(problem.train)))
    )
    whole = Metric.parse("ndcg@10").mean(
        top_k(problem.dev.vectors, problem.corpus, 10, exclude=problem.dev.exclude), problem.dev.relevant
    )
    assert DevPool.of(everything, Metric.parse("ndcg@10")).untrained() == pytest.approx(whole, abs=1e-12)


def test_hard_negatives_are_among_the_best_and_answer_nothing() -> None:
    problem = make_split().problem
    relevant = problem.train.relevant
    found = hard_negatives(problem, 3, among=10)
    best = top_k(problem.train.vectors, problem.corpus, 60).rows
    assert found.shape == (len(relevant.columns), 3)
    for pair, row in enumerate(relevant.rows.tolist()):
        own = relevant.take(torch.tensor([row])).columns.tolist()
        barred = {*own, *problem.train.exclude.take(torch.tensor([row])).columns.tolist()}
        allowed = [at for at in best[row].tolist() if at not in barred][:11]
        assert len(set(found[pair].tolist())) == 3
        assert set(found[pair].tolist()) <= set(allowed)
    assert not torch.equal(found, hard_negatives(replace(problem, seed=1), 3, among=10))


def test_too_few_hard_negatives_are_said_so() -> None:
    problem = make_split().problem
    with pytest.raises(ProblemError, match=r"^full-finetune: negatives: 51 are asked for"):
        fit(replace(SMALL, negatives=51), problem)
    everything = Csr.from_rows([range(58)] * len(problem.train))
    crowded = replace(problem, train=replace(problem.train, relevant=everything))
    with pytest.raises(ProblemError, match="negatives: 3 are asked for, and a query has fewer among its 50 best"):
        fit(replace(SMALL, negatives=3), crowded)


def test_hard_negatives_change_what_is_learnt() -> None:
    problem = make_split().problem
    method = replace(SMALL, check_every=0)
    assert not same(weights(fit(method, problem)), weights(fit(replace(method, negatives=2), problem)))


def test_keeps_the_untrained_encoder_when_no_step_makes_it_better() -> None:
    problem = make_split().problem
    clock = Clock(torch.device("cpu"))
    worse = Judged(problem.dev.items, problem.dev.vectors, relevant=top_answers(problem))
    method = replace(SMALL, learning_rate=1.0, max_drop=0.01, check_every=4)
    tuned = fit(method, replace(problem, dev=worse, meter=clock))
    assert tuned.encoder is None
    assert tuned.chosen == {"steps": 0, "check_every": 0}
    assert clock.curves["dev"][0] == 1.0
    assert len(clock.curves["dev"]) == 2, "it stops at the first check that lies too low"
    assert clock.counts["steps"] == 4
    assert len(clock.curves["loss"]) == 4


def top_answers(problem: Problem) -> Csr:
    """Judgements that the vectors as they are answer perfectly."""
    return Csr.from_rows(top_k(problem.dev.vectors, problem.corpus, 1).rows.tolist())


def test_keeps_the_best_step() -> None:
    problem = make_split().problem
    clock = Clock(torch.device("cpu"))
    tuned = fit(SMALL, replace(problem, meter=clock))
    dev = clock.curves["dev"]
    assert len(dev) == 6
    best = max(range(6), key=lambda check: dev[check])
    assert best > 0
    assert tuned.chosen["steps"] == 8 * best
    pool = DevPool.of(problem, Metric.parse(SMALL.metric))
    assert pool.value(tuned.encoder) == pytest.approx(dev[best], abs=1e-9)


class Killed(BaseException):
    """What no handler catches."""


def test_a_fit_that_was_killed_goes_on_to_the_same_result(
    transformer: Problem, tmp_path: Path, monkeypatch: Any
) -> None:
    method = replace(SMALL, learning_rate=1e-3, steps=20, check_every=4)
    undisturbed = Clock(torch.device("cpu"))
    expected = fit(method, replace(transformer, meter=undisturbed))
    checks = 0
    value = DevPool.value

    def dying(self: DevPool, encoder: Any) -> float:
        nonlocal checks
        checks += 1
        if checks == 3:
            raise Killed
        return value(self, encoder)

    problem = replace(transformer, scratch=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(DevPool, "value", dying)
        with pytest.raises(Killed):
            fit(method, problem)
    (checkpoint,) = tmp_path.glob("*/checkpoints/checkpoint-8")
    (checkpoint.parent / "checkpoint-12").mkdir()  # was being written
    shutil.copytree(checkpoint, removed := checkpoint.parent / "checkpoint-16")
    (removed / "model.safetensors").unlink()  # was being removed
    torch.rand(3)
    clock = Clock(torch.device("cpu"))
    resumed = fit(method, replace(problem, meter=clock))
    assert same(weights(resumed), weights(expected))
    assert resumed.chosen == expected.chosen
    assert clock.curves == undisturbed.curves
    assert clock.counts == undisturbed.counts


@pytest.mark.parametrize("max_drop", [1.0, 0.0])
def test_a_fit_that_was_killed_at_its_end_is_not_trained_on(max_drop: float, tmp_path: Path, monkeypatch: Any) -> None:
    """Even where the folder has been moved since, and whether all steps were made or the dev metric fell."""
    method = replace(SMALL, max_drop=max_drop)
    expected = fit(method, make_split().problem)
    problem = replace(make_split().problem, scratch=tmp_path / "one")

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("methods._scratch.save_model", killed)
        with pytest.raises(Killed):
            fit(method, problem)
    (tmp_path / "one").rename(tmp_path / "two")
    monkeypatch.setattr("methods._trainer._Trainer.training_step", killed)
    resumed = fit(method, replace(problem, scratch=tmp_path / "two"))
    assert resumed.chosen == expected.chosen
    if expected.encoder is not None:
        assert same(weights(resumed), weights(expected))


def test_what_a_fit_has_spent_before_it_was_killed_is_counted(tmp_path: Path, monkeypatch: Any) -> None:
    problem = replace(make_split().problem, scratch=tmp_path)
    fit(SMALL, problem)
    (done,) = tmp_path.glob("*/done.json")
    done.write_text(re.sub(r'"seconds": [^,}]*', '"seconds": 1000.0', done.read_text()))
    monkeypatch.setattr("methods._trainer.train", None)  # must not be asked
    clock = Clock(torch.device("cpu"))
    fit(SMALL, replace(problem, meter=clock))
    assert 1000 < clock.seconds["fit"] < 1010


def test_the_first_link_of_a_chain_is_not_trained_again(tmp_path: Path, monkeypatch: Any) -> None:
    problem = replace(make_split().problem, scratch=tmp_path)
    alone, both = Clock(torch.device("cpu")), Clock(torch.device("cpu"))
    tuned = fit(SMALL, replace(problem, meter=alone))
    monkeypatch.setattr("methods._trainer.train", None)
    chained = fit(Chain((SMALL, NudgeN())), replace(problem, meter=both))
    assert same(weights(tuned), weights(chained))
    assert both.counts["steps"] == alone.counts["steps"]
    assert both.curves["loss"] == alone.curves["loss"]


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"train": 40}, {"dev": 10}],
    ids=str,
)
def test_another_problem_is_not_taken_for_the_same(change: dict[str, Any], tmp_path: Path) -> None:
    problem = replace(make_split().problem, scratch=tmp_path)
    fit(SMALL, problem)
    taken = {
        name: getattr(problem, name).take(torch.arange(value)) if name != "seed" else value
        for name, value in change.items()
    }
    fit(SMALL, replace(problem, **taken))
    fit(replace(SMALL, scale=10.0), problem)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_loss_that_is_not_finite_is_an_error_with_its_step(transformer: Problem) -> None:
    with pytest.raises(ProblemError, match=r"^full-finetune: the loss is nan at step [1-9]\d*; lower"):
        fit(replace(SMALL, learning_rate=1e30, check_every=0), transformer)


@pytest.mark.parametrize("room", [4, 2, 1])
def test_without_memory_a_batch_goes_in_parts_with_the_same_negatives(
    room: int, transformer: Problem, monkeypatch: Any
) -> None:
    for module in transformer.encoder.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    method = replace(SMALL, steps=5, learning_rate=1e-3, check_every=0)
    items = transformer.corpus.items
    expected = fit(method, transformer).encoder.encode(items, "document")

    forward = SentenceTransformer.forward
    largest: list[int] = []

    def cramped(self: Any, features: dict[str, Any], **named: Any) -> Any:
        out = forward(self, features, **named)
        size = len(out["sentence_embedding"])
        if torch.is_grad_enabled() and size > room:
            raise torch.OutOfMemoryError
        largest.extend([size] if torch.is_grad_enabled() else [])
        return out

    monkeypatch.setattr(SentenceTransformer, "forward", cramped)
    found = fit(method, transformer).encoder.encode(items, "document")
    assert max(largest) == room
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found, transformer.encoder.encode(items, "document"), atol=1e-2)


def test_without_memory_for_a_single_pair_it_says_so(transformer: Problem, monkeypatch: Any) -> None:
    def full(self: Any, features: dict[str, Any], **named: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(SentenceTransformer, "forward", full)
    with pytest.raises(ProblemError, match="full-finetune: cpu has no memory for a single pair"):
        fit(replace(SMALL, check_every=0), transformer)


def test_several_gpus_are_refused(monkeypatch: Any, tmp_path: Path) -> None:
    from methods._trainer import Recipe, _arguments

    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    problem = replace(make_split().problem, device=torch.device("cuda"))
    with pytest.raises(ProblemError, match="CUDA_VISIBLE_DEVICES"):
        _arguments(Recipe(1, 1, 1e-3, 20.0, 0, 0.05), problem, tmp_path)


@dataclass(frozen=True)
class OnlyAsked:
    """An encoder behind an API."""

    asked: list[str] = field(default_factory=list)

    def encode(self, items: Any, role: Any) -> torch.Tensor:
        raise AssertionError

    def save(self, folder: Path) -> None:
        raise AssertionError


def test_an_encoder_without_weights_is_not_for_it() -> None:
    with pytest.raises(Unsuited, match="full-finetune: this encoder cannot be trained"):
        fit(SMALL, replace(make_split().problem, encoder=OnlyAsked()))


def test_few_dev_queries_are_noted() -> None:
    clock = Clock(torch.device("cpu"))
    fit(SMALL, replace(make_split().problem, meter=clock))
    assert clock.notes == ["chosen by 13 dev queries, so few that chance may have chosen; move some from train"]
    silent = Clock(torch.device("cpu"))
    fit(replace(SMALL, check_every=0), replace(make_split().problem, meter=silent))
    assert silent.notes == []


def test_lora_changes_a_layer_by_a_matrix_of_low_rank(transformer: Problem) -> None:
    method = Lora(batch=8, steps=6, learning_rate=1e-2, check_every=0, rank=2)
    before = transformer.encoder.model.state_dict()
    after = weights(fit(method, transformer))
    assert after.keys() == before.keys(), "the layers are ordinary ones again"
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    for name in changed:
        assert re.search(r"(query|key|value|dense)\.weight$", name)
        singular = torch.linalg.svdvals((after[name] - before[name]).double())
        assert singular[2] < 1e-5 * singular[0]


def test_lora_needs_a_linear_layer(monkeypatch: Any) -> None:
    problem = make_split().problem
    del problem.encoder.model[1]
    with pytest.raises(Unsuited, match="lora: the encoder has no linear layer"):
        fit(Lora(steps=2), problem)


def test_the_saved_encoder_is_the_trained_one(tmp_path: Path) -> None:
    tuned = fit(SMALL, make_split().problem)
    tuned.save(tmp_path / "tuned")
    assert same(load_file(tmp_path / "tuned" / "encoder" / "model.safetensors"), weights(tuned))
