"""What test queries share with train queries, against plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.overlap import BUCKETS, Overlap, clusters, overlap, wording
from methods import Csr

N = 8
Rows = list[list[int]]


def judgements(min_answers: int = 1, max_queries: int = 9) -> st.SearchStrategy[Rows]:
    row = st.lists(st.integers(0, N - 1), min_size=min_answers, max_size=4, unique=True)
    return st.lists(row, min_size=1, max_size=max_queries)


def vectors(m: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, (m, 3), elements=st.integers(-4, 4).map(float))


def cosine(one: list[float], other: list[float]) -> float:
    product = math.sqrt(sum(x * x for x in one) * sum(x * x for x in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / product if product else 0.0


@given(data=st.data(), train=judgements(min_answers=0), test=judgements())
def test_overlap_is_what_a_loop_over_everything_finds(data: st.DataObject, train: Rows, test: Rows) -> None:
    train_vectors, test_vectors = data.draw(vectors(len(train))), data.draw(vectors(len(test)))
    found = overlap(
        Csr.from_rows(train),
        Csr.from_rows(test),
        N,
        torch.from_numpy(train_vectors),
        torch.from_numpy(test_vectors),
    )
    told = {document for row in train for document in row}
    for number, answers in enumerate(test):
        assert found.seen_fraction[number] == pytest.approx(sum(a in told for a in answers) / len(answers))
        assert found.seen[number] == any(a in told for a in answers)
        near = [
            cosine(test_vectors[number].tolist(), train_vectors[other].tolist())
            for other, row in enumerate(train)
            if set(row) & set(answers)
        ]
        if near:
            assert found.nearest[number] == pytest.approx(max(near), abs=1e-9)
        else:
            assert math.isnan(found.nearest[number])
            assert not found.seen[number]


@given(train=judgements(min_answers=0), test=judgements())
def test_without_vectors_nothing_is_near(train: Rows, test: Rows) -> None:
    found = overlap(Csr.from_rows(train), Csr.from_rows(test), N)
    told = {document for row in train for document in row}
    assert found.seen.tolist() == [any(a in told for a in answers) for answers in test]
    assert np.isnan(found.nearest).all()
    assert found.buckets == [None if seen else "unseen" for seen in found.seen]


def test_grades_do_not_matter() -> None:
    found = overlap(Csr.from_rows([{0: 3.0}]), Csr.from_rows([{0: 1.0, 1: 9.0}]), 2)
    assert found.seen_fraction.tolist() == [0.5]


def test_the_length_of_vectors_does_not_matter() -> None:
    rows = Csr.from_rows([[0]])
    found = overlap(rows, rows, 1, torch.tensor([[1e-3, 0.0]]), torch.tensor([[3e4, 4e4]]))
    assert found.nearest.tolist() == pytest.approx([0.6])


@pytest.mark.parametrize(
    ("nearest", "bucket"),
    [
        (-1.0, "<.6"),
        (0.0, "<.6"),
        (math.nextafter(0.6, 0), "<.6"),
        (0.6, ".6-.8"),
        (math.nextafter(0.8, 0), ".6-.8"),
        (0.8, ".8-.9"),
        (math.nextafter(0.9, 0), ".8-.9"),
        (0.9, ">.9"),
        (1.0000001, ">.9"),
        (math.nan, None),
    ],
)
def test_buckets_have_their_lower_edge(nearest: float, bucket: str | None) -> None:
    assert bucket is None or bucket in BUCKETS
    assert Overlap(np.array([0.5]), np.array([nearest])).buckets == [bucket]
    assert Overlap(np.array([0.0]), np.array([nearest])).buckets == ["unseen"]


def expected_clusters(rows: Rows) -> list[int]:
    """Of each row the document that is in most rows; of several such, the first."""
    shared = [sum(document in row for row in rows) for document in range(max(map(max, rows)) + 1)]
    return [min(row, key=lambda document: (-shared[document], document)) for row in rows]


@given(rows=judgements(max_queries=30))
def test_a_query_belongs_to_the_document_that_most_queries_share(rows: Rows) -> None:
    assert clusters(Csr.from_rows(rows), N).tolist() == expected_clusters(rows)


def test_clusters_of_many_judgements_are_the_same_every_time() -> None:
    random = np.random.default_rng(0)
    rows = [random.choice(500, size, replace=False).tolist() for size in random.integers(1, 400, 1000)]
    relevant, expected = Csr.from_rows(rows), expected_clusters(rows)
    for _ in range(5):
        assert clusters(relevant, 500).tolist() == expected


def test_wording_is_the_cosine_to_the_nearest_of_all_train_queries() -> None:
    random = np.random.default_rng(0)
    train, test = (torch.from_numpy(random.normal(size=(n, 6)).astype(np.float32)) for n in (40, 25))
    unit = [vectors.numpy() / np.linalg.norm(vectors.numpy(), axis=1, keepdims=True) for vectors in (train, test)]
    assert wording(train, test) == pytest.approx((unit[1] @ unit[0].T).max(1), abs=1e-6)
    assert wording(train, train[:3]) == pytest.approx(1.0)
