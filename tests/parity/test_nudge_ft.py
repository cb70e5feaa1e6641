"""NUDGE against its authors' package `nudge-ft`, and the defects of that package which ours must not have."""

from __future__ import annotations

import math
from dataclasses import replace

import nudge
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from methods import Corpus, Csr, Judged, Meter, Metric, NudgeM, NudgeN, Problem, VectorTuned


class Log(Meter):
    """Keeps the last value of each curve."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def log(self, **values: float) -> None:
        self.last |= values


def make_problem(seed: int, n: int = 120, d: int = 10, train: int = 150, dev: int = 60) -> Problem:
    """Documents in general position, so without ties; queries near the mean of their one or two answers, distorted
    in one way for all queries, which moving documents can make good."""
    random = np.random.default_rng(seed)
    distortion = torch.from_numpy((np.eye(d) + 0.45 * random.normal(size=(d, d))).astype(np.float32))
    vectors = normalize(torch.from_numpy(random.normal(size=(n, d)).astype(np.float32)), dim=1)

    def judged(m: int) -> Judged:
        answers = [random.choice(n * 2 // 3, size=random.integers(1, 3), replace=False) for _ in range(m)]
        near = torch.stack([vectors[row].mean(0) for row in answers])
        noise = torch.from_numpy(random.normal(size=(m, d)).astype(np.float32))
        return Judged(
            [], normalize((near + 0.1 * noise) @ distortion, dim=1), relevant=Csr.from_rows(a.tolist() for a in answers)
        )

    return Problem(Corpus.from_vectors(vectors.numpy()), judged(train), judged(dev))


def reference(kind: str, problem: Problem, gamma: float | None = None) -> np.ndarray:
    """What the package returns, computed in float64."""
    sets = [
        {
            "q_embs": judged.vectors.double().numpy(),
            "q_ans_indx": [judged.relevant.take(torch.tensor([row])).columns.tolist() for row in range(len(judged))],
        }
        for judged in (problem.train, problem.dev)
    ]
    method = getattr(nudge, kind)(torch.device("cpu"))
    return method.finetune_embeddings(problem.corpus.shards[0].astype(np.float64), *sets, gamma=gamma)


def ours(method: NudgeM | NudgeN, problem: Problem) -> tuple[np.ndarray, float]:
    """All document vectors after fitting, and the γ that was chosen."""
    log = Log()
    tuned = method.fit(replace(problem, meter=log))
    return documents(tuned), log.last.get("gamma", math.nan)


def documents(tuned: VectorTuned) -> np.ndarray:
    return tuned.corpus.rows(torch.arange(tuned.corpus.n)).double().numpy()


@pytest.mark.parametrize("seed", range(8))
def test_nudge_n_chooses_the_same_gamma_and_gives_the_same_vectors(seed: int) -> None:
    problem = make_problem(seed)
    vectors, gamma = ours(NudgeN(compat="reference"), problem)
    theirs = reference("NUDGEN", problem)
    # Every document that has not arrived lies on the sphere of radius √γ around where it was.
    moved = ((theirs - reference("NUDGEN", problem, gamma=0)) ** 2).sum(1).max()
    assert gamma == pytest.approx(moved, abs=1e-9)
    assert np.abs(vectors - theirs).max() < 1e-5


@pytest.mark.parametrize("seed", range(8))
def test_nudge_m_chooses_the_same_gamma_and_gives_the_same_vectors(seed: int) -> None:
    problem = make_problem(seed)
    vectors, gamma = ours(NudgeM(compat="reference"), problem)
    theirs = reference("NUDGEM", problem)
    moved = np.linalg.norm(theirs - reference("NUDGEM", problem, gamma=0.0), axis=1).max()
    # Its slopes carry an epsilon of 1e-8, which a large γ multiplies.
    assert gamma == pytest.approx(moved, rel=1e-5)
    assert np.abs(vectors - theirs).max() < 1e-5 * max(1.0, gamma)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), gamma=st.floats(0.001, 1.99))
def test_vectors_agree_at_any_fixed_gamma(seed: int, gamma: float) -> None:
    problem = make_problem(seed, n=40, d=5, train=60)
    assert (
        np.abs(ours(NudgeN(gamma=gamma, compat="reference"), problem)[0] - reference("NUDGEN", problem, gamma)).max()
        < 1e-5
    )
    assert np.abs(ours(NudgeM(gamma=gamma), problem)[0] - reference("NUDGEM", problem, gamma)).max() < 1e-5


def test_the_parity_problems_are_not_trivial() -> None:
    chosen = [ours(NudgeN(compat="reference"), make_problem(seed))[1] for seed in range(8)]
    assert len({round(gamma, 6) for gamma in chosen}) >= 5
    assert max(chosen) > 0.2


def test_defect_1_a_train_query_that_equals_its_document() -> None:
    """√(‖g‖² − (v·g)²) of the package is NaN here, `topk` ranks NaN first, and γ silently becomes 0."""
    problem = make_problem(1)
    vectors = problem.train.vectors.clone()
    answers = problem.train.relevant
    alone = [int(answers.offsets[row]) for row in range(len(answers)) if answers.lengths[row] == 1]
    often = torch.bincount(answers.columns, minlength=problem.corpus.n)
    pair = next(pair for pair in alone if often[answers.columns[pair]] == 1)
    document = answers.columns[pair]
    vectors[answers.rows[pair]] = problem.corpus.rows(document[None])[0]
    problem = replace(problem, train=replace(problem.train, vectors=vectors))
    result, gamma = ours(NudgeN(), problem)
    assert np.isfinite(result).all()
    assert gamma > 0
    assert np.abs(result[document] - problem.corpus.shards[0][document]).max() < 1e-6


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.5, 4.0])
def test_defect_2_documents_that_point_away_turn_and_large_gammas_are_sound(gamma: float) -> None:
    """The package freezes a document with v·g < 0, zeroes the untouched ones from γ = 2 on, and divides by 0 at 4."""
    problem = make_problem(2)
    document = int(problem.train.relevant.columns[0])
    of = problem.train.relevant.rows[problem.train.relevant.columns == document]
    vectors = problem.train.vectors.clone()
    vectors[of] -= 2.5 * problem.corpus.rows(torch.tensor([document]))
    problem = replace(problem, train=replace(problem.train, vectors=vectors))
    v, g = problem.corpus.shards[0][document], vectors[of].sum(0).numpy()
    assert v @ g < 0
    result, _ = ours(NudgeN(gamma=gamma), problem)
    assert np.linalg.norm(result, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert result[document] @ g > v @ g
    assert ((result[document] - v) ** 2).sum() <= gamma + 1e-5
    untouched = ~np.isin(np.arange(problem.corpus.n), problem.train.relevant.columns.numpy())
    assert untouched.any()
    assert (result[untouched] == problem.corpus.shards[0][untouched]).all()


def test_defect_3_gamma_of_m_is_inside_its_plateau() -> None:
    """The package returns the plateau's left end, where the answer only ties with what it is to overtake."""
    lost = 0
    for seed in range(12):
        problem = make_problem(seed)
        hit = Metric.parse("hit@1")
        log = Log()
        tuned = NudgeM(metric="hit@1").fit(replace(problem, meter=log))
        middle = hit.mean(tuned.search(problem.dev, 1), problem.dev.relevant)
        assert middle == pytest.approx(log.last["dev"], abs=1e-12)
        _, left_end = ours(NudgeM(compat="reference"), problem)
        assert log.last["plateau_width"] > 0 or left_end == 0
        at_left_end = NudgeM(gamma=left_end).fit(problem)
        lost += hit.mean(at_left_end.search(problem.dev, 1), problem.dev.relevant) < middle
    assert lost > 0


@pytest.mark.parametrize(
    "method", [NudgeM(), NudgeN(), NudgeN(compat="reference"), NudgeM(compat="reference")], ids=repr
)
def test_defect_6_a_dev_query_without_an_answer_changes_nothing(method: NudgeM | NudgeN) -> None:
    """In the package its share is 0/0, the accuracy NaN, and γ = 0."""
    problem = make_problem(4)
    dev = problem.dev
    empty = Judged(
        [],
        torch.cat([dev.vectors, dev.vectors[:1]]),
        relevant=Csr(
            torch.cat([dev.relevant.offsets, dev.relevant.offsets[-1:]]), dev.relevant.columns, dev.relevant.values
        ),
    )
    _, without = ours(method, problem)
    _, with_empty = ours(method, replace(problem, dev=empty))
    assert with_empty == without > 0


@pytest.mark.parametrize("method", [NudgeM(), NudgeN()], ids=repr)
def test_no_dev_query_with_an_answer_is_an_error(method: NudgeM | NudgeN) -> None:
    problem = make_problem(5)
    nothing = Judged([], problem.dev.vectors, relevant=Csr.from_rows([] for _ in range(len(problem.dev))))
    with pytest.raises(ValueError, match=r"dev\.relevant: no query has a relevant document"):
        method.fit(replace(problem, dev=nothing))


def test_defect_7_documents_that_share_their_queries_arrive_on_one_vector_and_tie_by_priority() -> None:
    """Their order is then nobody's: not that of the rows, and not the answer's either, which would reward collapse."""
    problem = make_problem(6, n=30, d=6)
    twins = Csr.from_rows([[4, 9, 17, 22]])
    train = Judged([], problem.dev.vectors[:1], relevant=twins)
    tuned = NudgeN(gamma=4.0).fit(replace(problem, train=train))
    ranking = tuned.search(train, 4)
    assert len(set(ranking.scores[0].tolist())) == 1
    by_priority = sorted(twins.columns.tolist(), key=lambda row: problem.corpus.priority[row])
    assert ranking.rows[0].tolist() == by_priority
    assert by_priority != sorted(by_priority)


@pytest.mark.parametrize("kind", [NudgeM, NudgeN])
def test_defect_8_a_long_query_can_be_made_to_count_no_more_than_others(kind: type[NudgeM | NudgeN]) -> None:
    problem = make_problem(7)
    lengths = torch.linspace(0.1, 10.0, len(problem.train))[:, None]
    stretched = replace(problem, train=replace(problem.train, vectors=problem.train.vectors * lengths))
    equal, _ = ours(kind(gamma=0.5, unit_queries=True), problem)
    assert np.abs(ours(kind(gamma=0.5, unit_queries=True), stretched)[0] - equal).max() < 1e-5
    assert np.abs(ours(kind(gamma=0.5), stretched)[0] - equal).max() > 0.1


def test_defect_9_gamma_is_searched_beyond_the_grid() -> None:
    chosen = {seed: ours(NudgeN(), make_problem(seed))[1] for seed in range(8)}
    assert max(chosen.values()) > 0.48
    metric = Metric.parse("ndcg@10")
    for seed, gamma in chosen.items():
        problem = make_problem(seed)
        exact, end = (NudgeN(gamma=value).fit(problem).search(problem.dev, 10) for value in (gamma, 0.48))
        relevant = problem.dev.relevant
        assert metric.mean(exact, relevant) >= metric.mean(end, relevant) - 1e-9


@pytest.mark.parametrize("method", [NudgeN(gamma=-0.1), NudgeN(gamma=4.1), NudgeM(gamma=-1.0)], ids=repr)
def test_an_impossible_gamma_is_an_error(method: NudgeM | NudgeN) -> None:
    with pytest.raises(ValueError, match=rf"{method.name}: gamma is {method.gamma}, .*; pass one from 0"):
        method.fit(make_problem(0))
