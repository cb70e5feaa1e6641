"""Maps of query and document vectors, and the search that they make."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from methods._contract import Problem
from methods._corpus import Vectors
from methods._search import BLOCK
from methods._tuned import VectorTuned


class Maps(nn.Module):
    """A map of each side, from (m, d) to (m, d) float32; the identity leaves a side as it is."""

    def __init__(self, query: nn.Module, document: nn.Module) -> None:
        super().__init__()
        self.query = query
        self.document = document

    def tuned(self, problem: Problem) -> VectorTuned:
        """The search in the problem's corpus, with mapped documents at unit length."""
        if isinstance(self.document, nn.Identity):
            return VectorTuned(
                problem.corpus, query_map=self.query, similarity=problem.similarity, device=problem.device
            )
        return VectorTuned(
            problem.corpus, query_map=self.query, vectors=self._documents(problem), device=problem.device
        )

    def _documents(self, problem: Problem) -> Vectors:
        """(n, d): all documents, mapped in float64, so that those that were equal still are, wherever they stand."""
        corpus, precise = problem.corpus, deepcopy(self.document).to(problem.device).double()
        vectors = np.empty((corpus.n, corpus.d), dtype=np.float32)
        with torch.no_grad():
            for start, block in corpus.blocks(problem.device, BLOCK):
                mapped = nn.functional.normalize(precise(block.double()), dim=1)
                vectors[start : start + len(block)] = mapped.float().cpu().numpy()
        return vectors


class Residual(nn.Module):
    """z + W₂·GELU(W₁z + b₁) + b₂ with a hidden layer of d; the identity at its start, where W₂ and b₂ are 0."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(d, d)
        self.out = nn.Linear(d, d)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """(m, d) from (m, d)."""
        mapped: Tensor = vectors + self.out(nn.functional.gelu(self.hidden(vectors)))
        return mapped


def identity_layer(d: int) -> nn.Linear:
    """A d × d layer without a bias that changes nothing yet."""
    layer = nn.Linear(d, d, bias=False)
    nn.init.eye_(layer.weight)
    return layer
