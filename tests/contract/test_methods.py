"""What every method must do: runs over all that are registered, a plug-in's included, and over toys of each kind."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass, replace
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from problems import WordEncoder, make_split, plain, small
from simulated import GPU, simulated_gpu
from toys import TOYS, FlipQueries, NewEncoder, SharedWords, SwapDocuments

from bench.score import score
from methods import (
    Chain,
    Judged,
    Method,
    Problem,
    Range,
    Tuned,
    VectorTuned,
    fit,
    label,
    load_method,
    method_names,
    parse,
    written,
)

VARIANTS = [
    "adaptor[kind=mlp]",
    "adaptor[kind=ridge]",
    "adaptor[side=document]",
    "adaptor[kind=mlp,side=both]",
    "adaptor[kind=ridge,side=both]",
    "adaptor[compat=reference]",
]
UNTUNED = [small(parse(text)) for text in [*method_names(), *VARIANTS]]
TUNED = [small(replace(load_method(name)(), tune=3)) for name in method_names() if load_method(name).space]
REGISTERED = [*UNTUNED, *TUNED]
CORRECTORS = [  # whose encoder is no longer what it was
    replace(small(load_method("corrector")()), selection=selection, learning_rate=0.01, max_drop=1.0, refresh=7)
    for selection in get_args(get_type_hints(load_method("corrector"))["selection"])
]
CHAINS = [
    Chain((FlipQueries(), SwapDocuments())),
    Chain((NewEncoder(), small(load_method("adaptor")()), load_method("nudge-n")())),
    Chain((NewEncoder(), SwapDocuments(), SharedWords())),
    Chain((small(load_method("adaptor")()), load_method("nudge-n")(), load_method("rrf")())),
]
ALL = pytest.mark.parametrize("method", [*REGISTERED, *CORRECTORS, *TOYS, *CHAINS], ids=label)


def _scores(tuned: Tuned, queries: Judged) -> torch.Tensor:
    ranking = tuned.search(queries, 20)
    return torch.stack([ranking.rows.double(), ranking.scores.double()])


@ALL
def test_constructor_only_stores_defaulted_hyperparameters(method: Method) -> None:
    assert is_dataclass(method)
    assert all(field.default is not MISSING for field in fields(method))
    assert not hasattr(method, "__post_init__")
    assert isinstance(method.version, int)


@pytest.mark.parametrize("name", list(method_names()))
def test_label_and_name_lead_back_to_the_method(name: str) -> None:
    method = load_method(name)()
    assert method.name == name
    assert label(method) == name
    assert parse(label(small(method))) == small(method)


@ALL
def test_ranks_every_query_without_repetition_or_excluded_documents(method: Method) -> None:
    split = make_split()
    ranking = fit(method, split.problem).search(split.test, 20)
    assert ranking.rows.shape == ranking.scores.shape == (len(split.test), 20)
    assert (ranking.scores.diff(dim=1) <= 0).all()
    assert all(len(set(row)) == 20 for row in ranking.rows.tolist())
    assert 5 not in ranking.rows[2]


@ALL
def test_returns_all_documents_when_asked_for_more(method: Method) -> None:
    split = make_split()
    ranking = fit(method, split.problem).search(split.test, 100)
    assert sorted(ranking.rows[3][ranking.rows[3] >= 0].tolist()) == list(range(60))


@ALL
def test_is_deterministic_under_a_seed(method: Method) -> None:
    first, second = make_split(), make_split()
    once = _scores(fit(method, first.problem), first.test)
    torch.rand(7)  # the global generator must not matter
    assert torch.equal(once, _scores(fit(method, second.problem), second.test))


@pytest.mark.parametrize("method", REGISTERED, ids=label)
def test_update_equals_a_fit_to_everything_at_what_was_chosen(method: Method, tmp_path) -> None:
    """With more train queries and new documents; and as well from what was saved."""
    split = make_split()
    problem = split.problem
    tuned = fit(method, problem)
    tuned.save(tmp_path / "tuned")
    more = replace(problem.dev, relevant=replace(problem.dev.relevant, columns=problem.dev.relevant.columns + 2))
    new = torch.nn.functional.normalize(torch.randn(2, 12, generator=torch.Generator().manual_seed(0)), dim=1)
    corpus = replace(
        problem.corpus,
        items=[*problem.corpus.items, "new", "newer"],
        shards=(*problem.corpus.shards, new.numpy()),
        priority=np.append(problem.corpus.priority, [60, 61]),
    )
    grown = replace(problem, corpus=corpus, train=problem.train.joined(more))
    expected = _scores(fit(replace(method, **tuned.chosen), grown), split.test)
    assert torch.equal(_scores(method.update(grown, tuned), split.test), expected)
    loaded = method.load(tmp_path / "tuned", problem.corpus, WordEncoder.open)
    assert torch.equal(_scores(method.update(grown, loaded), split.test), expected)


@pytest.mark.parametrize("method", REGISTERED, ids=label)
def test_dev_queries_can_join_once_hyperparameters_are_chosen(method: Method) -> None:
    split = make_split()
    problem = split.problem
    joined = fit(replace(method, join_dev=True), problem)
    both = replace(problem, train=problem.train.joined(problem.dev))
    chosen = fit(method, problem).chosen
    assert torch.equal(_scores(joined, split.test), _scores(fit(replace(method, **chosen), both), split.test))


@pytest.mark.parametrize("method", REGISTERED, ids=label)
def test_a_share_of_the_train_queries_is_all_that_is_learnt_from(method: Method) -> None:
    split = make_split()
    problem = split.problem
    order = torch.randperm(50, generator=torch.Generator().manual_seed(problem.seed))
    half = replace(problem, train=problem.train.take(order[:25].sort().values))
    shared = fit(replace(method, train_share=0.5), problem)
    assert torch.equal(_scores(shared, split.test), _scores(fit(method, half), split.test))


@pytest.mark.parametrize("method", [*UNTUNED, *TOYS], ids=label)
def test_search_space_is_of_values_that_the_method_takes_its_default_among_them(method: Method) -> None:
    for name, part in method.space.items():
        default = getattr(type(method)(), name)
        if isinstance(part, Range):
            values = [part.low, part.high]
            assert part.low <= default <= part.high
            assert part.low < part.high
            assert part.low > 0 or not part.log
        else:
            values = list(part.values)
            assert default in values
            assert len(set(values)) == len(values) > 1
        for value in values:
            assert type(value) is type(default)
            assert getattr(parse(f"{method.name}[{name}={written(value)}]"), name) == value


@pytest.mark.parametrize("method", TUNED, ids=label)
def test_tuned_is_the_best_of_its_trials_by_the_dev_queries(method: Method, monkeypatch) -> None:
    split = make_split()
    problem = split.problem
    tried: list[Method] = []
    fit_once = type(method).fit
    monkeypatch.setattr(type(method), "fit", lambda self, given: (tried.append(self), fit_once(self, given))[1])
    tuned = fit(method, problem)
    monkeypatch.undo()
    assert tried[0] == replace(method, tune=0)
    assert 2 <= len(tried) <= 3
    assert all(
        {**vars(trial), **dict.fromkeys(method.space), "tune": 3} == {**vars(method), **dict.fromkeys(method.space)}
        for trial in tried
    )
    best, best_dev = tried[0], -1.0
    for trial in tried:
        dev = float(score(fit(trial, problem).search(problem.dev, 10), problem.dev.relevant)["ndcg@10"].mean())
        if dev > best_dev + 1e-12:
            best, best_dev = trial, dev
    assert {name: tuned.chosen[name] for name in method.space} == {name: getattr(best, name) for name in method.space}
    assert torch.equal(_scores(tuned, split.test), _scores(fit(best, problem), split.test))


@ALL
def test_finds_on_a_gpu_what_it_finds_on_the_cpu(method: Method) -> None:
    split = make_split()
    expected = fit(method, split.problem).search(split.test, 20)
    split = make_split()
    with simulated_gpu():
        split.problem.encoder.model.to(GPU)
        ranking = fit(method, replace(split.problem, device=GPU)).search(split.test, 20)
    assert torch.equal(ranking.rows, expected.rows)
    assert torch.allclose(ranking.scores, expected.scores, atol=1e-5)


@ALL
def test_leaves_its_inputs_as_they_were(method: Method) -> None:
    split = make_split()
    problem = split.problem
    before = [*plain(problem.train), *plain(problem.dev), torch.from_numpy(problem.corpus.shards[0].copy())]
    tuned = fit(method, problem)
    tuned.search(split.test, 10)
    after = [*plain(problem.train), *plain(problem.dev), torch.from_numpy(problem.corpus.shards[0])]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert problem.corpus.moved is None


@ALL
def test_saves_and_loads_to_the_same_scores(method: Method, tmp_path, monkeypatch) -> None:
    split = make_split()
    tuned = fit(method, split.problem)
    monkeypatch.setattr("pickle.dumps", _no_pickle)
    monkeypatch.setattr("pickle.loads", _no_pickle)
    monkeypatch.setattr("torch.save", _no_pickle)
    monkeypatch.setattr("torch.load", _no_pickle)
    tuned.save(tmp_path / "tuned")
    loaded = parse(label(method)).load if method in [*REGISTERED, *CORRECTORS] else method.load
    again = loaded(tmp_path / "tuned", split.problem.corpus, WordEncoder.open)
    assert torch.equal(_scores(tuned, split.test), _scores(again, split.test))
    assert not [path for path in (tmp_path / "tuned").rglob("*") if path.suffix in {".pkl", ".pickle", ".pt", ".bin"}]


def _no_pickle(*args: object, **kwargs: object) -> None:
    raise AssertionError("pickle was used")


def test_a_problem_has_no_place_for_test_queries() -> None:
    known = {"corpus", "train", "dev", "encoder", "similarity", "device", "seed", "meter", "scratch"}
    assert {field.name for field in fields(Problem)} == known


def test_query_map_maps_queries() -> None:
    split = make_split()
    tuned = fit(FlipQueries(), split.problem)
    assert torch.equal(tuned.queries(split.test).vectors, -split.test.vectors)


def test_moved_rows_are_all_that_is_saved(tmp_path) -> None:
    from safetensors.torch import load_file

    fit(SwapDocuments(), make_split().problem).save(tmp_path / "tuned")
    saved = load_file(tmp_path / "tuned" / "tuned.safetensors")
    assert {name: tuple(value.shape) for name, value in saved.items()} == {"moved.rows": (2,), "moved.vectors": (2, 12)}


def test_replaced_encoder_encodes_documents_and_queries_anew() -> None:
    split = make_split()
    tuned = fit(NewEncoder(), split.problem)
    # Turning every vector by the same roll of its coordinates changes no inner product, hence no ranking.
    assert torch.equal(tuned.search(split.test, 9).rows, fit(parse("none"), split.problem).search(split.test, 9).rows)
    assert not torch.equal(tuned.corpus.rows(torch.arange(3)), split.problem.corpus.rows(torch.arange(3)))


def test_replaced_encoder_is_paid_for_under_its_own_phase() -> None:
    from bench.clock import Clock

    clock = Clock(torch.device("cpu"))
    fit(Chain((NewEncoder(), load_method("nudge-n")())), replace(make_split().problem, meter=clock))
    assert set(clock.seconds) == {"fit", "reencode"}


def test_chain_equals_its_links_one_after_the_other() -> None:
    split = make_split()
    adaptor, nudge = small(load_method("adaptor")()), load_method("nudge-n")()
    first = fit(adaptor, split.problem)
    second = fit(nudge, first.apply(split.problem))
    by_hand = second.search(first.queries(split.test), 15)
    chained = fit(Chain((adaptor, nudge)), split.problem).search(split.test, 15)
    assert torch.equal(by_hand.rows, chained.rows)
    assert torch.equal(by_hand.scores, chained.scores)


def test_chain_refuses_what_cannot_be_chained() -> None:
    problem = make_split().problem
    with pytest.raises(ValueError, match="shared-words does not search by vectors, so it can only be the last"):
        fit(Chain((SharedWords(), load_method("none")())), problem)
    with pytest.raises(ValueError, match="new-encoder needs the encoder, so it comes before"):
        fit(Chain((FlipQueries(), NewEncoder())), problem)
    with pytest.raises(ValueError, match="unit length"):
        fit(Chain((load_method("nudge-m")(), load_method("nudge-n")())), problem)


def test_a_chain_is_not_updated_in_silence() -> None:
    problem = make_split().problem
    chain = Chain((FlipQueries(), load_method("nudge-n")()))
    with pytest.raises(ValueError, match="a chain cannot be updated"):
        chain.update(problem, fit(chain, problem))
    last = Chain((FlipQueries(), replace(load_method("nudge-n")(), join_dev=True)))
    plain_chain = fit(chain, problem).search(problem.dev, 9)
    assert not torch.equal(fit(last, problem).search(problem.dev, 9).scores, plain_chain.scores)


def test_needs_are_checked() -> None:
    problem = make_split().problem
    with pytest.raises(ValueError, match="needs the encoder"):
        fit(NewEncoder(), replace(problem, encoder=None))
    with pytest.raises(ValueError, match="needs the documents"):
        fit(SharedWords(), replace(problem, corpus=replace(problem.corpus, items=())))


def test_loading_over_another_corpus_is_refused(tmp_path) -> None:
    problem = make_split().problem
    fit(SwapDocuments(), problem).save(tmp_path / "tuned")
    other = replace(problem.corpus, shards=(problem.corpus.shards[0][:50],), priority=problem.corpus.priority[:50])
    with pytest.raises(ValueError, match="60 × 12"):
        SwapDocuments().load(tmp_path / "tuned", other)


@pytest.mark.parametrize("method", [*REGISTERED, *CORRECTORS, *CHAINS[3:]], ids=label)
def test_says_what_it_replaces_where_it_is_served(method: Method) -> None:
    tuned = fit(method, make_split().problem)
    if not isinstance(tuned, VectorTuned):
        assert "search" in method.replaces()
        return
    moved = tuned.moved is not None or (tuned.vectors is not None and tuned.encoder is None)
    mapped = tuned.query_map is not None and not isinstance(tuned.query_map, torch.nn.Identity)
    found = {"documents": moved, "queries": mapped, "encoder": tuned.encoder is not None}
    assert {part for part, replaced in found.items() if replaced} <= method.replaces()
    assert method.replaces() <= {"documents", "queries", "encoder"}


@ALL
def test_vector_search_has_one_implementation(method: Method) -> None:
    tuned = fit(method, make_split().problem)
    assert not isinstance(tuned, VectorTuned) or type(tuned).search is VectorTuned.search
