"""Arrays that no method can be fitted on: one line that names the array and the row, never a silent γ = 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from problems import make_split

from methods import Corpus, Csr, Judged, Problem, ProblemError, fit, parse


def documents(change: Callable[[np.ndarray], object]) -> Callable[[Problem], object]:
    """Spoils the document vectors."""

    def spoil(problem: Problem) -> Problem:
        vectors = problem.corpus.shards[0].copy()
        changed = change(vectors)
        return replace(problem, corpus=Corpus.from_vectors(vectors if changed is None else changed))

    return spoil


def queries(part: str, **changes: object) -> Callable[[Problem], Problem]:
    """Replaces fields of the train or dev queries; a callable is given the old value."""

    def spoil(problem: Problem) -> Problem:
        judged = getattr(problem, part)
        new = {key: value(getattr(judged, key)) if callable(value) else value for key, value in changes.items()}
        return replace(problem, **{part: replace(judged, **new)})

    return spoil


def with_row(row: int, value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def put(vectors: torch.Tensor) -> torch.Tensor:
        vectors = vectors.clone()
        vectors[row, 2] = value
        return vectors

    return put


def one_query(judged: Judged) -> Judged:
    return Judged([], judged.vectors[3:4], relevant=judged.relevant.take(torch.tensor([3])))


nothing = Csr.from_rows([] for _ in range(50))
FAULTS = {
    "zero document": (documents(lambda v: v.__setitem__(4, 0)), "documents: row 4 has length 0; scale"),
    "NaN document": (documents(lambda v: v.__setitem__((5, 0), np.nan)), "documents: row 5 has length nan; scale"),
    "infinite document": (documents(lambda v: v.__setitem__((6, 1), np.inf)), "documents: row 6 has length inf; scale"),
    "long document": (documents(lambda v: v.__setitem__(7, 3 * v[7])), "documents: row 7 has length 3"),
    "double documents": (documents(lambda v: v.astype(np.float64)), "documents: float64 of shape (60, 12); pass"),
    "flat documents": (documents(lambda v: v.ravel()), "documents: float32 of shape (720,); pass"),
    "NaN train query": (queries("train", vectors=with_row(8, np.nan)), "train.vectors: row 8 is not finite; drop"),
    "infinite dev query": (queries("dev", vectors=with_row(9, -np.inf)), "dev.vectors: row 9 is not finite; drop"),
    "double queries": (queries("train", vectors=torch.Tensor.double), "train.vectors: torch.float64 on cpu; pass"),
    "other device": (queries("dev", vectors=lambda v: v.to("meta")), "dev.vectors: torch.float32 on meta; pass"),
    "other dimension": (queries("dev", vectors=lambda v: v[:, :5]), "dev.vectors: shape (14, 5), but the documents"),
    "unknown document": (
        queries(
            "train", relevant=lambda r: replace(r, columns=r.columns.clone().index_fill_(0, torch.tensor([2]), 60))
        ),
        "train.relevant: row 1 names document 60 of 60",
    ),
    "negative document": (
        queries("dev", exclude=lambda e: replace(e, columns=e.columns - 9)),
        "dev.exclude: row 2 names document -4 of 60",
    ),
    "rows missing": (queries("dev", relevant=nothing), "dev.relevant: 50 rows for 14 queries"),
    "nothing to learn from": (queries("train", relevant=nothing), "train.relevant: no query has a relevant document"),
    "a single dev query": (lambda p: replace(p, dev=one_query(p.dev)), "dev: a single query is too few to choose by"),
}


CHOOSE_BY_DEV = ["adaptor", "nudge-m", "nudge-n"]
CASES = [(fault, name) for fault in FAULTS for name in CHOOSE_BY_DEV] + [
    (fault, name) for fault in FAULTS if "single dev" not in fault for name in ("nudge-loo", "query-knn")
]


@pytest.mark.parametrize(("fault", "name"), CASES)
def test_is_refused_in_one_line(fault: str, name: str) -> None:
    spoil, said = FAULTS[fault]
    with pytest.raises(ProblemError) as error:
        fit(parse(name), spoil(make_split().problem))
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


VALUES = {
    "nudge-m[gamma=-1]": "nudge-m: gamma is -1.0, a length; pass one from 0 on",
    "nudge-n[gamma=4.1]": "nudge-n: gamma is 4.1, a squared distance on the sphere; pass one from 0 to 4",
    "nudge-loo[gamma=-1]": "nudge-loo: gamma is -1.0; pass one from 0 on",
    "nudge-loo[power=-0.5]": "nudge-loo: power is -0.5; pass one from 0 on",
    "nudge-loo[offset=2.5]": "nudge-loo: offset is 2.5; pass one from 0 to 2",
    "nudge-m+nudge-loo": "nudge-loo needs document vectors of unit length; chain it before what changes their length",
    "nudge-n[train_share=0]": "nudge-n: train_share is 0.0; pass a part of 1, above 0",
    "none[train_share=1.5]": "none: train_share is 1.5; pass a part of 1, above 0",
    "adaptor[join_dev=true]+nudge-n": "join_dev: only the last link of a chain may learn from the dev queries",
}


@pytest.mark.parametrize("label", VALUES)
def test_values_out_of_range_are_refused(label: str) -> None:
    with pytest.raises(ProblemError) as error:
        fit(parse(label), make_split().problem)
    assert str(error.value) == VALUES[label]


def test_queries_of_no_length_are_refused() -> None:
    problem = queries("train", vectors=torch.zeros_like)(make_split().problem)
    with pytest.raises(ProblemError, match="the queries of every document add up to nothing; are they all zero"):
        fit(parse("nudge-n"), problem)
