"""Least squares with the identity as its prior."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from methods._contract import Problem
from methods._maps import Maps, identity_layer

CHUNK = 8_192  # pairs at a time: 25 MB for each float64 array over them at d = 384


class Ridge:
    """W that minimises Σ ‖W·x − y‖² + λ‖W − I‖² over pairs of x and y, for any λ > 0.

    By the normal equations W = (Σ y·xᵀ + λI)(Σ x·xᵀ + λI)⁻¹, from one eigen-decomposition of Σ x·xᵀ for all λ. With
    λ → ∞ it becomes the identity.
    """

    def __init__(self, x: Tensor, i: Tensor) -> None:
        """Decomposes Σ x·xᵀ over the pairs' x[i]: (m, d) float64 and (pairs,) int64."""
        self._x, self._i = x, i
        self._eigenvalues, self._axes = torch.linalg.eigh(_moment(x, i, x, i))

    def solve(self, y: Tensor, j: Tensor, ridge: float) -> Tensor:
        """(d, d) float64: W for the pairs' targets y[j], (n, d) float64 and (pairs,) int64, and λ = ridge."""
        numerator = _moment(y, j, self._x, self._i)
        numerator.diagonal().add_(ridge)
        solved: Tensor = numerator @ self._axes / (self._eigenvalues.clamp(min=0.0) + ridge) @ self._axes.T
        return solved


class RidgeMaps:
    """The maps that bring the two sides of the train pairs nearest to each other, for any λ.

    Queries are taken to their documents, or documents to their queries, all at unit length. With both sides mapped,
    documents go to where their queries are by then; else the sides would only change places.

    Attributes:
        scale: the mean eigenvalue of Σ q·qᵀ, which is that of Σ y·yᵀ: the λ that weighs as much as the data.
    """

    def __init__(self, problem: Problem, side: Literal["query", "document", "both"]) -> None:
        relevant = problem.train.relevant
        rows, self._document = relevant.columns.unique(return_inverse=True)
        self._query, self._device = relevant.rows, problem.device
        self._queries = normalize(problem.train.vectors.double(), dim=1)
        self._documents = normalize(problem.corpus.rows(rows).double(), dim=1)
        self._by_query = None if side == "document" else Ridge(self._queries, self._query)
        self._by_document = None if side == "query" else Ridge(self._documents, self._document)
        self.scale = len(relevant.columns) / problem.corpus.d

    def at(self, ridge: float) -> Maps:
        """The maps for one λ."""
        query, document, queries = None, None, self._queries
        if self._by_query is not None:
            query = self._by_query.solve(self._documents, self._document, ridge)
            queries = normalize(queries @ query.T, dim=1)
        if self._by_document is not None:
            document = self._by_document.solve(queries, self._query, ridge)
        return Maps(_layer(query), _layer(document)).to(self._device)


def _layer(weight: Tensor | None) -> nn.Module:
    if weight is None:
        return nn.Identity()
    layer = identity_layer(len(weight))
    layer.load_state_dict({"weight": weight})
    return layer


def _moment(left: Tensor, i: Tensor, right: Tensor, j: Tensor) -> Tensor:
    """(d, d): Σ left[i]·right[j]ᵀ over the pairs."""
    total = left.new_zeros(left.shape[1], right.shape[1])
    for some, other in zip(i.split(CHUNK), j.split(CHUNK), strict=True):
        total += left[some].T @ right[other]
    return total
