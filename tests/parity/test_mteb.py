"""A tuned corpus, evaluated by mteb through its own search protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from mteb.abstasks import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.models_protocols import SearchProtocol

from bench.interop import MtebSearch
from bench.score import score
from methods import Corpus, Csr, Item, Judged, Problem, Role, Tuned, fit, parse

N, M, D = 150, 90, 12


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def documents() -> np.ndarray:
    return unit(np.random.default_rng(0).normal(size=(N, D)))


@pytest.fixture(scope="module")
def parts(documents: np.ndarray) -> list[Judged]:
    """Train, dev and test queries around a shifted copy of their graded answers, a few of which they may not get."""
    random = np.random.default_rng(1)
    shift = random.normal(size=D)
    found = []
    for _ in range(3):
        answers = [random.choice(40, random.integers(1, 4), replace=False) for _ in range(M)]
        means = np.array([documents[rows].mean(0) for rows in answers])
        vectors = unit(means + 0.3 * shift + 0.15 * random.normal(size=(M, D)))
        relevant = Csr.from_rows({int(row): float(random.integers(1, 4)) for row in rows} for rows in answers)
        own = Csr.from_rows([number + 40] if number % 2 else [] for number in range(M))
        found.append(Judged([], torch.from_numpy(vectors), own, relevant=relevant))
    return found


@pytest.fixture(scope="module", params=["none", "nudge-n", "nudge-m", "nudge-n[gamma=0.5]"])
def tuned(request: pytest.FixtureRequest, documents: np.ndarray, parts: list[Judged]) -> Tuned:
    train, dev, _ = parts
    return fit(parse(request.param), Problem(Corpus.from_vectors(documents), train, dev))


@dataclass(frozen=True)
class Known:
    """Knows the vectors of "query 0", "query 1", …"""

    vectors: torch.Tensor

    def encode(self, items: Sequence[Item], role: Role) -> torch.Tensor:
        assert role == "query"
        return self.vectors[[int(str(item).removeprefix("query ")) for item in items]]

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def metadata() -> TaskMetadata:
    return TaskMetadata(
        name="Toy",
        description="A task that nothing is downloaded for.",
        dataset={"path": "nowhere/toy", "revision": "1"},
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
    )


class Toy(AbsTaskRetrieval):
    """The test queries; a query with the id of a document must not find it."""

    metadata = metadata()
    ignore_identical_ids = True
    judged: Judged

    def load_data(self, *_: Any, **__: Any) -> None:
        query_ids = [f"d{number + 40}" if number % 2 else f"q{number}" for number in range(M)]
        relevant, offsets = self.judged.relevant, self.judged.relevant.offsets.tolist()
        judgements = {
            query: {f"d{int(relevant.columns[pair])}": int(relevant.values[pair]) for pair in range(low, high)}
            for query, low, high in zip(query_ids, offsets[:-1], offsets[1:], strict=True)
        }
        split = {
            "corpus": Dataset.from_list(
                [{"id": f"d{row}", "title": "", "text": f"document {row}"} for row in range(N)]
            ),
            "queries": Dataset.from_list(
                [{"id": query, "text": f"query {number}"} for number, query in enumerate(query_ids)]
            ),
            "relevant_docs": judgements,
            "top_ranked": None,
        }
        self.dataset = {"default": {"test": split}}  # type: ignore[dict-item]
        self.data_loaded = True


@pytest.fixture
def task(parts: list[Judged]) -> Toy:
    task = Toy()
    task.judged = parts[2]
    return task


def test_mteb_finds_the_same_scores(tuned: Tuned, parts: list[Judged], task: Toy) -> None:
    test = parts[2]
    model = MtebSearch(tuned, Known(test.vectors), [f"d{row}" for row in range(N)])
    assert isinstance(model, SearchProtocol)
    theirs = task.evaluate(model, split="test", encode_kwargs={})["default"]

    ours = score(tuned.search(test, 100), test.relevant)
    assert 0.1 < ours["ndcg@10"].mean() < 0.95
    for name, their_name in (
        ("ndcg@10", "ndcg_at_10"),
        ("recall@1", "recall_at_1"),
        ("recall@10", "recall_at_10"),
        ("recall@100", "recall_at_100"),
        ("map@100", "map_at_100"),
        ("mrr@10", "mrr_at_10"),
    ):
        assert ours[name].mean() == pytest.approx(theirs[their_name], abs=1e-5), name


def test_the_methods_differ(documents: np.ndarray, parts: list[Judged]) -> None:
    """Otherwise the parity above would say less than it seems to."""
    train, dev, test = parts
    problem = Problem(Corpus.from_vectors(documents), train, dev)
    means = {
        name: score(fit(parse(name), problem).search(test, 100), test.relevant)["ndcg@10"].mean()
        for name in ("none", "nudge-n", "nudge-m")
    }
    assert len(set(means.values())) == 3
    assert means["nudge-n"] > means["none"]
