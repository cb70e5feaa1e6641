"""What the update of documents looks at: nothing but those whose train queries have changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import make_split

from methods import Corpus, Csr, Judged, Problem, ProblemError, fit, parse

NUDGES = pytest.mark.parametrize("name", ["nudge-m", "nudge-n", "nudge-loo"])


def asking(problem: Problem, row: int) -> Judged:
    """One more train query, for one document."""
    vector = torch.randn(1, problem.corpus.d, generator=torch.Generator().manual_seed(row))
    return Judged(["more"], vector, relevant=Csr.from_rows([[row]]))


@NUDGES
def test_reads_changed_documents_only(name: str, monkeypatch) -> None:
    problem = make_split().problem
    tuned = fit(parse(name), problem)
    read: set[int] = set()
    rows = Corpus.rows
    monkeypatch.setattr(Corpus, "rows", lambda self, ids: (read.update(ids.tolist()), rows(self, ids))[1])
    parse(name).update(replace(problem, train=problem.train.joined(asking(problem, 7))), tuned)
    assert read == {7}


@pytest.mark.parametrize("label", ["nudge-m[gamma=0.3]", "nudge-n[gamma=0.3]", "nudge-loo[gamma=1,power=0,offset=0.1]"])
def test_a_document_that_nobody_asks_for_any_more_goes_back(label: str) -> None:
    problem = make_split().problem
    unasked = next(row for row in range(problem.corpus.n) if row not in problem.train.relevant.columns)
    tuned = fit(parse(label), replace(problem, train=problem.train.joined(asking(problem, unasked))))
    assert unasked in tuned.moved.rows
    assert unasked not in parse(label).update(problem, tuned).moved.rows


@NUDGES
def test_missing_documents_are_refused(name: str) -> None:
    problem = make_split().problem
    tuned = fit(parse(name), problem)
    fewer = replace(tuned, base=replace(tuned.base, shards=(*tuned.base.shards, tuned.base.shards[0])))
    with pytest.raises(ProblemError, match="60 documents, once 120; fit anew"):
        parse(name).update(problem, fewer)


def test_what_was_not_moved_by_it_is_refused() -> None:
    problem = make_split().problem
    with pytest.raises(ProblemError, match="nudge-n: there is nothing to update"):
        parse("nudge-n").update(problem, fit(parse("none"), problem))
