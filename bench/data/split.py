"""Which judged queries are for training, for choosing and for the final score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.errors import BadInput

Recipe = Literal["official", "random", "grouped"]
Rows = NDArray[np.int64]
DEV, TEST, CAP = 10, 5, 10_000  # one query in so many, and the cap of Zeighami et al. 2024


@dataclass(frozen=True)
class Split:
    """Rows of the data set's queries, each (k,) int64 and ascending; no query is in two."""

    train: Rows
    dev: Rows
    test: Rows


def default_recipe(dataset: Dataset) -> Recipe:
    """The split that a data set is given when none is asked for."""
    return "official" if dataset.official else "random"


def split_queries(dataset: Dataset, recipe: Recipe, seed: int) -> Split:
    """Splits the judged queries.

    Args:
        dataset: what to split.
        recipe: "official" follows the source and ignores the seed; a missing dev split is a tenth of train.
            "random" shuffles the queries: a tenth dev, a fifth test, at the most 10,000 each, the rest train.
            "grouped" shuffles the groups of near-copies, so that none is on two sides.
        seed: of the shuffle.

    Raises:
        BadInput: when there is no official split, or a part would be empty.
    """
    if recipe == "official":
        split = _official(dataset)
    else:
        groups = dataset.groups if recipe == "grouped" else np.arange(len(dataset.query_ids))
        split = dealt(groups, seed)
    for name, rows in vars(split).items():
        if not len(rows):
            raise BadInput(
                f"{dataset.name}: the {recipe} split leaves no {name} query; use another split or more queries"
            )
    return split


def _official(dataset: Dataset) -> Split:
    if not dataset.official:
        raise BadInput(
            f"{dataset.name}: has no official split (qrels/train.tsv and qrels/test.tsv); use random or grouped"
        )
    train, dev, test = (dataset.official[name] for name in ("train", "dev", "test"))
    if not len(dev):
        shuffled = np.random.default_rng(0).permutation(train)
        dev, train = np.split(shuffled, [_share(DEV, len(train))])
    return Split(np.sort(train), np.sort(dev), np.sort(test))


def dealt(groups: Rows, seed: int) -> Split:
    """Deals whole groups, in random order, to dev until it has its share, then to test, then to train.

    Args:
        groups: (m,) int64, the group of each query.
        seed: of the order.
    """
    rows = np.arange(len(groups))
    order = np.random.default_rng(seed).permutation(len(np.unique(groups)))
    place = order[np.unique(groups, return_inverse=True)[1]]
    dealt = rows[np.argsort(place, kind="stable")]
    ends = np.flatnonzero(np.diff(np.sort(place), append=-1)) + 1
    dev_end = _first_at_least(ends, _share(DEV, len(rows)))
    test_end = _first_at_least(ends, dev_end + _share(TEST, len(rows)))
    dev, test, train = np.split(dealt, [dev_end, test_end])
    return Split(np.sort(train), np.sort(dev), np.sort(test))


def _share(one_in: int, n: int) -> int:
    return min(CAP, n // one_in)


def _first_at_least(ends: Rows, size: int) -> int:
    return int(ends[min(int(np.searchsorted(ends, size)), len(ends) - 1)])
