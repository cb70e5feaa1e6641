"""Splits: their sizes, that they share nothing, what they depend on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.dataset import Dataset
from bench.data.split import Split, default_recipe, split_queries
from bench.errors import BadInput
from methods import Csr

EMPTY = Csr.from_rows([])


def dataset(m: int, groups: list[int] | None = None, **official: list[int]) -> Dataset:
    """A data set of m queries; `split_queries` looks at nothing else."""
    return Dataset(
        name="toy",
        fingerprint="",
        document_ids=[],
        documents=[],
        query_ids=[f"q{number}" for number in range(m)],
        queries=[],
        qrels=EMPTY,
        exclude=EMPTY,
        groups=np.array(list(range(m)) if groups is None else groups, dtype=np.int64),
        official={name: np.array(rows, dtype=np.int64) for name, rows in official.items()},
    )


def parts(split: Split) -> list[list[int]]:
    return [split.train.tolist(), split.dev.tolist(), split.test.tolist()]


def assert_is_partition(split: Split, m: int) -> None:
    assert sorted(row for part in parts(split) for row in part) == list(range(m))
    assert all(part == sorted(part) and part for part in parts(split))


@given(m=st.integers(10, 400), seed=st.integers(0, 2**32 - 1))
def test_random_split_has_the_sizes_of_the_paper(m: int, seed: int) -> None:
    split = split_queries(dataset(m), "random", seed)
    assert_is_partition(split, m)
    assert len(split.dev) == m // 10
    assert len(split.test) == m // 5


def test_dev_and_test_are_capped_at_10_000_queries() -> None:
    split = split_queries(dataset(150_000), "random", 0)
    assert [len(part) for part in parts(split)] == [130_000, 10_000, 10_000]
    split = split_queries(dataset(70_000), "random", 0)
    assert [len(part) for part in parts(split)] == [53_000, 7_000, 10_000]


@pytest.mark.parametrize("recipe", ["random", "grouped"])
def test_the_seed_drives_the_split_and_nothing_else_does(recipe: str) -> None:
    data = dataset(50, [number // 2 for number in range(50)])
    splits = [parts(split_queries(data, recipe, seed)) for seed in (0, 0, 1, 2)]  # type: ignore[arg-type]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2] != splits[3] != splits[0]


def test_random_split_reaches_every_query() -> None:
    tested = {row for seed in range(60) for row in split_queries(dataset(30), "random", seed).test.tolist()}
    assert tested == set(range(30))


def test_official_split_ignores_the_seed_and_leaves_the_rest_out() -> None:
    data = dataset(30, train=[9, 2, 4, 5], dev=[0], test=[1, 8])
    for seed in range(5):
        assert parts(split_queries(data, "official", seed)) == [[2, 4, 5, 9], [0], [1, 8]]


@given(train=st.integers(10, 300), seed=st.integers(0, 99))
def test_a_missing_official_dev_split_is_a_tenth_of_train(train: int, seed: int) -> None:
    data = dataset(train + 7, train=list(range(train)), dev=[], test=list(range(train, train + 7)))
    split = split_queries(data, "official", seed)
    assert_is_partition(split, train + 7)
    assert split.test.tolist() == list(range(train, train + 7))
    assert len(split.dev) == train // 10
    assert parts(split) == parts(split_queries(data, "official", seed + 1))


@given(groups=st.lists(st.integers(0, 30), min_size=10, max_size=200), seed=st.integers(0, 99))
def test_grouped_split_never_separates_a_group(groups: list[int], seed: int) -> None:
    m, largest = len(groups), max(np.bincount(groups))
    try:
        split = split_queries(dataset(m, groups), "grouped", seed)
    except BadInput:
        assert m // 10 + m // 5 + 2 * (largest - 1) >= m, "dev and test need not have taken everything"
        return
    assert_is_partition(split, m)
    train, dev, test = ({groups[row] for row in part} for part in parts(split))
    assert train.isdisjoint(dev | test)
    assert dev.isdisjoint(test)
    assert m // 10 <= len(split.dev) < m // 10 + largest
    assert m // 5 <= len(split.test) < m // 5 + largest


@given(sizes=st.lists(st.integers(1, 5), min_size=60, max_size=120), seed=st.integers(0, 99))
def test_grouped_split_works_whenever_the_groups_are_small(sizes: list[int], seed: int) -> None:
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes)).tolist()
    assert_is_partition(split_queries(dataset(len(groups), groups), "grouped", seed), len(groups))


def test_grouped_split_of_single_queries_has_the_sizes_of_the_random_one() -> None:
    assert [len(part) for part in parts(split_queries(dataset(57), "grouped", 3))] == [41, 5, 11]


def test_the_default_is_official_where_there_is_one() -> None:
    assert default_recipe(dataset(3, train=[0], dev=[1], test=[2])) == "official"
    assert default_recipe(dataset(3)) == "random"


def test_an_official_split_that_is_not_there_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"toy: has no official split .*train\.tsv.* use random or grouped"):
        split_queries(dataset(50), "official", 0)


@pytest.mark.parametrize(
    ("recipe", "data", "part"),
    [
        ("official", dataset(20, train=list(range(15)), dev=[], test=[]), "test"),
        ("official", dataset(20, train=[], dev=[0], test=[1]), "train"),
        ("official", dataset(20, train=[1, 2, 3], dev=[], test=[4]), "dev"),
        ("grouped", dataset(20, [0] * 20), "train"),
    ],
)
def test_a_part_without_a_query_is_bad_input(recipe: str, data: Dataset, part: str) -> None:
    with pytest.raises(BadInput, match=f"toy: the {recipe} split leaves no {part} query"):
        split_queries(data, recipe, 0)  # type: ignore[arg-type]
