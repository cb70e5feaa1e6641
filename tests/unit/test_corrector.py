"""The corrector network: what is masked, what is learnt, what it costs, and what is told of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drifting import QUICK, TRAIN, N, drifting_problem, equal, weights
from problems import WordEncoder, make_split
from torch.nn.functional import normalize

from bench.clock import Clock
from methods import Problem, ProblemError, fit
from methods._corrector_step import Stepper
from methods._negatives import sampled_softmax
from methods._probe import Probe

SELECTIONS = ["uniform", "in-batch", "stale", "stale-refresh", "corrector", "corrector-refresh", "exact"]


@pytest.fixture(autouse=True)
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders compute in float32, whatever the processor has."""
    monkeypatch.setattr("methods._corrector_step.has_bfloat16", lambda device: False)


def stepper(problem: Problem | None = None, **changed: object) -> Stepper:
    problem = problem or drifting_problem()
    return Stepper(replace(QUICK, **changed), problem, problem.encoder)


def stepped(steps: int, **changed: object) -> Stepper:
    made = stepper(**changed)
    for number in range(steps):
        made.step((torch.arange(16) + 7 * number) % TRAIN)
    return made


# What is drawn


@pytest.mark.parametrize("selection", SELECTIONS)
def test_no_negative_answers_its_query_or_is_excluded(selection: str) -> None:
    problem = make_split().problem
    made = stepper(problem, selection=selection, negatives=40)
    train = problem.train
    candidates = []
    made_loss = sampled_softmax

    def spy(logits, log_inclusion, known):
        candidates.append(known)
        return made_loss(logits, log_inclusion, known)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("methods._corrector_step.sampled_softmax", spy)
        pairs = torch.arange(len(train.relevant.columns))
        made.losses(pairs)
        queries = made._embedded([train.items[row] for row in train.relevant.rows.tolist()], "query").detach()
        barred = made._no_negatives.take(train.relevant.rows)
        drawn = made._drawn(queries, train.relevant.columns, barred)
    assert len(candidates[0]) == len(pairs)
    for pair, row in enumerate(train.relevant.rows.tolist()):
        answers = {*train.relevant.take(torch.tensor([row])).columns.tolist()}
        answers |= {*train.exclude.take(torch.tensor([row])).columns.tolist()}
        if selection == "in-batch":
            left_out = [document in answers for document in drawn.rows[pair].tolist()]
            assert candidates[0][pair, 1:].tolist() == left_out
        else:
            assert not answers & {*drawn.rows[pair].tolist()}


@pytest.mark.parametrize("log_inclusion", [False, True])
def test_with_all_documents_drawn_the_loss_is_the_softmax_over_all(log_inclusion: bool) -> None:
    problem = make_split().problem
    made = stepper(problem, selection="stale", negatives=60, log_inclusion=log_inclusion)
    pairs = torch.tensor([0, 4, 11, 30])
    relevant = problem.train.relevant
    expected = []
    for pair in pairs.tolist():
        row, positive = int(relevant.rows[pair]), int(relevant.columns[pair])
        cosines = 20 * problem.corpus.rows(torch.arange(60)) @ normalize(problem.train.vectors[row], dim=0)
        left_out = {*relevant.take(torch.tensor([row])).columns.tolist()} - {positive}
        left_out |= {*problem.train.exclude.take(torch.tensor([row])).columns.tolist()}
        kept = [document for document in range(60) if document not in left_out]
        expected.append(cosines[kept].logsumexp(0) - cosines[positive])
    assert made.losses(pairs)[0].item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-4)


# What the network learns


def test_the_first_step_is_that_of_stale_vectors() -> None:
    pairs = torch.arange(16)
    stale, corrected = stepper(selection="stale"), stepper(selection="corrector")
    assert torch.equal(stale.losses(pairs)[0], corrected.losses(pairs)[0])
    assert torch.equal(stale.encoded, stale.encoded & corrected.encoded)
    stale, corrected = stepped(1, selection="stale"), stepped(1, selection="corrector")
    assert equal(weights(stale.encoder), weights(corrected.encoder))


def test_no_gradient_crosses_between_the_encoder_and_the_network() -> None:
    made = stepped(3)
    made._optimiser.zero_grad()
    made._network_optimiser.zero_grad()
    loss, network_loss = made.losses(torch.arange(16))
    loss.backward()
    assert all(weight.grad is None for weight in made.network.parameters())
    of_encoder = [weight.grad.clone() for weight in made.encoder.model.parameters()]
    assert any(gradient.any() for gradient in of_encoder)
    network_loss.backward()
    assert any(weight.grad.any() for weight in made.network.parameters())
    left = [weight.grad for weight in made.encoder.model.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(of_encoder, left, strict=True))


def test_with_a_frozen_encoder_the_network_stays_the_identity() -> None:
    made = stepper(learning_rate=0.0)
    cached = torch.from_numpy(made.problem.corpus.shards[0])
    for number in range(40):
        made.step((torch.arange(16) + 7 * number) % TRAIN)
        with torch.no_grad():
            assert (made.network(cached) - cached).norm(dim=1).max() < 1e-3


def test_documents_that_were_never_encoded_are_corrected_too() -> None:
    made = stepped(60, negatives=2, learning_rate=1e-3, corrector_rate=1e-2)
    items = made.problem.corpus.items
    current = normalize(made.encoder.encode(items, "document"), dim=1)
    cached = torch.from_numpy(made.problem.corpus.shards[0])
    with torch.no_grad():
        corrected = made.network(cached)
    never = ~made.encoded
    assert never.sum() > 100
    stale_error, error = ((vectors - current)[never].square().sum(1).mean() for vectors in (cached, corrected))
    assert stale_error > 0.01, "else there is nothing to correct"
    assert error < 0.5 * stale_error
    queries = normalize(made.encoder.encode(made.problem.train.items, "query"), dim=1)
    exact, stale, found = ((20 * queries @ vectors.T).softmax(1) for vectors in (current, cached, corrected))
    assert (found - exact).abs().sum(1).mean() < 0.8 * (stale - exact).abs().sum(1).mean()


def test_the_network_learns_from_the_documents_drawn_and_from_others() -> None:
    made = stepped(2)
    pairs = torch.arange(16)
    before = made.encoded.clone()
    random = made._random.get_state()
    made.encoded[:] = False
    _, found = made.losses(pairs)
    encoded = made.encoded.nonzero()[:, 0]
    made._random.set_state(random)
    queries = made._embedded([made.problem.train.items[row] for row in range(16)], "query").detach()
    drawn = made._drawn(queries, pairs, made._no_negatives.take(pairs)).rows.unique()
    documents = torch.cat([drawn, pairs]).unique()
    others = encoded[~torch.isin(encoded, documents)]
    assert 0 < len(others) <= 0.1 * len(documents) + 1
    learnt = torch.cat([drawn, others])
    # An extra document may be a positive, which was encoded for the encoder: then it is learnt from as well.
    extra = torch.randint(N, (round(0.1 * len(documents)),), generator=made._random)
    learnt = torch.cat([learnt, extra]).unique()
    current = normalize(made.encoder.encode([str(row) for row in learnt.tolist()], "document"), dim=1)
    errors = made.network(torch.from_numpy(made.cache.shards[0])[learnt]) - current
    assert found.item() == pytest.approx(errors.square().sum(1).mean().item(), rel=1e-4)
    assert before.any()


def test_during_the_warm_up_negatives_come_from_stale_vectors_while_the_network_learns() -> None:
    def drawn(made: Stepper):
        made._random.manual_seed(5)
        queries = made._embedded(made.problem.train.items, "query").detach()
        return made._drawn(queries, torch.arange(TRAIN), made._no_negatives).rows

    warm, corrected = stepped(9, warmup=10), stepped(9)
    assert any(weight.any() for weight in warm.network.out.parameters())
    corrected.network = None
    corrected.encoder.model.load_state_dict(warm.encoder.model.state_dict())
    stale = drawn(corrected)
    assert torch.equal(drawn(warm), stale)
    warm.step(torch.arange(16))
    corrected.encoder.model.load_state_dict(warm.encoder.model.state_dict())
    assert not torch.equal(drawn(warm), drawn(corrected))


@pytest.mark.parametrize(("selection", "every"), [("exact", 1), ("stale-refresh", 4), ("corrector-refresh", 4)])
def test_a_refresh_encodes_all_documents_and_forgets_the_corrections(selection: str, every: int) -> None:
    made = stepped(4, selection=selection, refresh=4)
    items = made.problem.corpus.items
    current = normalize(made.encoder.encode(items, "document"), dim=1)
    stale = made.cache.rows(torch.arange(N))
    assert not torch.allclose(stale, current, atol=1e-4)
    if made.network is not None:
        assert made.network.out.weight.any()
        made.recipe = replace(made.recipe, corrector_rate=0.0)
    made.step(torch.arange(16))
    assert torch.equal(made.cache.rows(torch.arange(N)), current)
    assert made.counts["encodes_refresh"] == N * (4 // every)
    if made.network is not None:
        assert not made.network.out.weight.any()


# What it costs, and what is told of it


@pytest.mark.parametrize("selection", SELECTIONS)
def test_every_encoded_document_is_counted_once(selection: str) -> None:
    clock = Clock(torch.device("cpu"))
    problem = drifting_problem(meter=clock)
    recipe = replace(QUICK, selection=selection, steps=14, check_every=0)
    before = problem.encoder.asked["document"]
    asked = recipe.fit(problem).encoder.asked["document"] - before
    refreshes = {"stale-refresh": 2, "corrector-refresh": 2, "exact": 13}.get(selection, 0)
    assert clock.counts["steps"] == 14
    assert clock.counts.get("encodes_refresh", 0) == refreshes * N
    assert clock.counts.get("encodes_cache", 0) == (0 if selection in {"uniform", "in-batch"} else N)
    assert clock.counts["encodes_step"] == asked - refreshes * N
    most = 16 if selection == "in-batch" else 16 * 6
    assert 14 <= clock.counts["encodes_step"] <= 14 * 1.1 * most


def test_each_check_tells_how_many_documents_had_been_encoded() -> None:
    clock = Clock(torch.device("cpu"))
    replace(QUICK, selection="stale-refresh", steps=14, check_every=7, max_drop=1.0).fit(drifting_problem(meter=clock))
    first, middle, last = clock.curves["encodes"]
    assert (first, last) == (N, sum(count for name, count in clock.counts.items() if name != "steps"))
    assert middle - first >= N + 7  # one cache and, in each step, a document at least


@pytest.mark.parametrize("selection", ["stale", "corrector"])
def test_the_probe_measures_drift_and_total_variation(selection: str) -> None:
    made = stepped(10, selection=selection)
    probe = Probe.of(made.problem)
    assert (len(probe.queries.unique()), len(probe.documents.unique())) == (TRAIN, 256)
    found = probe.measure(made.encoder, made.cache, made.network, made.encoded, 20.0)
    cached = made.cache.rows(probe.documents)
    measured = {"": cached} if selection == "stale" else {"": made.network(cached).detach(), "_stale": cached}
    assert found.keys() == {f"{name}{suffix}" for name in ("drift", "tv") for suffix in measured}
    current = normalize(made.encoder.encode([str(row) for row in probe.documents.tolist()], "document"), dim=1).numpy()
    asked = made.encoder.encode([made.problem.train.items[row] for row in probe.queries.tolist()], "query")
    asked = normalize(asked, dim=1).numpy()
    unseen = ~made.encoded[probe.documents].numpy()
    assert 0 < unseen.sum() < 256
    for suffix, vectors in measured.items():
        drift = ((vectors.numpy() - current) ** 2).sum(1)[unseen].mean()
        p, q = (np.exp(20 * asked @ documents.T) for documents in (current, vectors.numpy()))
        tv = 0.5 * np.abs(p / p.sum(1, keepdims=True) - q / q.sum(1, keepdims=True)).sum(1).mean()
        assert found[f"drift{suffix}"] == pytest.approx(drift, rel=1e-3)
        assert found[f"tv{suffix}"] == pytest.approx(tv, rel=1e-3)


def test_drift_of_no_document_is_not_a_number() -> None:
    made = stepper()
    made.encoded[:] = True
    assert np.isnan(Probe.of(made.problem).measure(made.encoder, made.cache, None, made.encoded, 20.0)["drift"])


def test_the_best_checkpoint_by_the_dev_queries_is_kept() -> None:
    clock = Clock(torch.device("cpu"))
    problem = drifting_problem(meter=clock)
    tuned = QUICK.fit(problem)
    dev = clock.curves["dev"]
    assert len(clock.curves["loss"]) == 20
    assert {len(clock.curves[name]) for name in ("drift", "drift_stale", "tv", "tv_stale", "dev")} == {5}
    best = 5 * int(np.argmax(dev))
    assert best > 0
    assert tuned.chosen == {"steps": best, "check_every": 0}
    again = replace(QUICK, **tuned.chosen).fit(drifting_problem())
    assert equal(weights(tuned.encoder), weights(again.encoder))


def test_an_encoder_that_only_gets_worse_is_left_as_it_was() -> None:
    clock = Clock(torch.device("cpu"))
    tuned = replace(QUICK, learning_rate=1.0, max_drop=0.01).fit(drifting_problem(meter=clock))
    assert tuned.encoder is None
    assert tuned.chosen["steps"] == 0
    assert clock.counts["steps"] == 5, "it stops when the dev metric has fallen"


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_seed_decides_everything_and_only_weights_move(selection: str) -> None:
    recipe = replace(QUICK, selection=selection, check_every=0)
    problem = drifting_problem()
    before = weights(problem.encoder)
    once = weights(recipe.fit(problem).encoder)
    torch.rand(3)
    assert equal(once, weights(recipe.fit(drifting_problem()).encoder))
    assert not equal(once, weights(recipe.fit(drifting_problem(seed=1)).encoder))
    assert equal(before, weights(problem.encoder)), "what is trained is a copy"
    assert all(torch.equal(once[name], before[name]) for name in before if "running" in name or "tracked" in name)
    assert not torch.equal(once["layers.0.weight"], before["layers.0.weight"])


# What cannot be done


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        ({"learning_rate": 1e30}, r"the loss is nan at step \d; lower learning_rate or scale"),
        ({"batch": 0}, "batch is 0; pass 1 or more"),
        ({"negatives": 0}, "negatives is 0; pass 1 or more"),
        ({"refresh": 0}, "refresh is 0; pass 1 or more"),
    ],
)
def test_a_setting_that_cannot_work_is_named(changed: dict[str, float], remedy: str) -> None:
    with pytest.raises(ProblemError, match=f"corrector: {remedy}"):
        replace(QUICK, **changed).fit(drifting_problem())


def test_a_loss_of_the_network_that_is_not_finite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Stepper.losses
    monkeypatch.setattr(Stepper, "losses", lambda self, pairs: (whole(self, pairs)[0], torch.tensor(torch.inf)))
    with pytest.raises(ProblemError, match="corrector: the loss is inf at step 0; lower corrector_rate"):
        QUICK.fit(drifting_problem())


def test_a_device_without_the_memory_for_a_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self, pairs):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Stepper, "losses", full)
    with pytest.raises(ProblemError, match="corrector: cpu has no memory for a step; lower batch or negatives"):
        QUICK.fit(drifting_problem())


def test_an_encoder_without_weights_is_unsuited() -> None:
    class Service:
        encode, save = WordEncoder.encode, WordEncoder.save

    problem = make_split().problem
    with pytest.raises(ProblemError, match="corrector: this encoder cannot be trained"):
        fit(QUICK, replace(problem, encoder=Service()))
