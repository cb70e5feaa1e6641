"""A small problem in place of one whose corpus is too large to be searched again and again."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from methods._contract import Judged, Problem
from methods._corpus import Corpus, position
from methods._search import top_k

WHOLE = 20_000  # documents that are still searched whole
NEAREST = 50  # documents of each dev query in the pool


def pooled(problem: Problem) -> Problem:
    """The problem over the documents that matter while a map is being learnt, or as it is when it has few.

    They are all answers and the documents that are nearest to each dev query before anything is learnt. What comes
    near only by learning and is no answer is missed, so a dev metric over the pool is a little too high.
    """
    corpus, dev = problem.corpus, problem.dev
    if corpus.n <= WHOLE:
        return problem
    nearest = top_k(dev.vectors, corpus, NEAREST, exclude=dev.exclude, device=problem.device).rows
    rows = torch.cat([problem.train.relevant.columns, dev.relevant.columns, nearest[nearest >= 0]]).unique()
    priority = corpus.priority[rows.numpy()].argsort().argsort()
    small = Corpus((), (corpus.rows(rows).numpy(),), priority)
    return replace(problem, corpus=small, train=_within(problem.train, rows), dev=_within(dev, rows))


def _within(judged: Judged, rows: Tensor) -> Judged:
    """The queries with their documents by their places among `rows`, which hold all answers."""
    relevant = replace(judged.relevant, columns=position(rows, judged.relevant.columns)[1])
    exclude = None if judged.exclude is None else judged.exclude.among(rows)
    return replace(judged, exclude=exclude, relevant=relevant)
