"""Hard negatives: documents that are near to a query and do not answer it."""

from __future__ import annotations

import torch
from torch import Tensor

from methods._contract import Problem
from methods._errors import ProblemError
from methods._search import top_k


def hard_negatives(problem: Problem, count: int, among: int) -> Tensor:
    """(pairs, count) int64: documents for each train pair, drawn by the seed from the `among` best of its query.

    None of them answers the query, and none is excluded from its answers.

    Raises:
        ProblemError: when a query has not as many.
    """
    train = problem.train
    best = top_k(train.vectors, problem.corpus, among, exclude=train.no_negatives(), device=problem.device).rows
    random = torch.Generator().manual_seed(problem.seed)
    drawn = torch.rand(len(train.relevant.columns), best.shape[1], generator=random)
    of_pair = best[train.relevant.rows]
    found = of_pair.gather(1, drawn.masked_fill(of_pair < 0, -1).argsort(dim=1, descending=True)[:, :count])
    if found.shape[1] < count or bool((found < 0).any()):
        raise ProblemError(f"negatives: {count} are asked for, and a query has fewer among its {among} best documents")
    return found
