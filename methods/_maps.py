"""Maps of query and document vectors, and the search that they make."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from methods._contract import Problem
from methods._corpus import Vectors
from methods._errors import ProblemError
from methods._memory import halving
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
                mapped = list(halving(partial(_at_unit_length, precise, block), len(block), len(block)))
                vectors[start : start + len(block)] = torch.cat(mapped).numpy()
        return vectors


def _at_unit_length(precise: nn.Module, vectors: Tensor, some: slice) -> Tensor:
    """Some of (m, d) float32 vectors, mapped in float64, as float32 on the CPU."""
    return nn.functional.normalize(precise(vectors[some].double()), dim=1).float().cpu()


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


class Lengthened(nn.Module):
    """Queries with their length as one more coordinate when `on`, so that an offset counts for all queries alike."""

    on: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("on", torch.tensor(False))

    def forward(self, queries: Tensor) -> Tensor:
        """(m, d) to (m, d + 1), or as they are."""
        return torch.cat([queries, queries.norm(dim=1, keepdim=True)], dim=1) if self.on else queries


def identity_layer(d: int) -> nn.Linear:
    """A d × d layer without a bias that changes nothing yet."""
    layer = nn.Linear(d, d, bias=False)
    nn.init.eye_(layer.weight)
    return layer


@dataclass(frozen=True)
class Layer:
    """A step of a map: z to W·z + b, of z/‖z‖ where `unit`, and GELU of each coordinate where `gelu`.

    Attributes:
        weight: W, (out, in) float32.
        bias: b, (out,) float32.
        unit: whether z is scaled to unit length first.
        gelu: whether GELU comes last, x·Φ(x) with the normal distribution's Φ.
    """

    weight: Tensor
    bias: Tensor
    unit: bool = False
    gelu: bool = False


def layers(module: nn.Module, d: int) -> list[Layer]:
    """What a map of queries of d dimensions does, step by step, for whoever has no torch.

    A map that lengthens queries is written for queries of unit length: others are scaled to it, which changes no
    ranking.

    Raises:
        ProblemError: for a module that is none of those here.

    >>> [tuple(step.weight.shape) for step in layers(nn.Sequential(identity_layer(4), Residual(4)), 4)]
    [(4, 4), (12, 4), (4, 12)]
    """
    eye = torch.eye(d)
    if isinstance(module, nn.Identity):
        return []
    if isinstance(module, nn.Linear):
        bias = torch.zeros(module.out_features) if module.bias is None else module.bias.detach()
        return [Layer(module.weight.detach(), bias)]
    if isinstance(module, Residual):
        # GELU(x) − GELU(−x) = x, by which z gets past the hidden layer.
        hidden, out, zeros = module.hidden, module.out, torch.zeros(2 * d)
        return [
            Layer(torch.cat([hidden.weight.detach(), eye, -eye]), torch.cat([hidden.bias.detach(), zeros]), gelu=True),
            Layer(torch.cat([out.weight.detach(), eye, -eye], dim=1), out.bias.detach()),
        ]
    if isinstance(module, Lengthened):
        one = torch.zeros(d + 1)
        one[d] = 1.0
        return [Layer(torch.cat([eye, torch.zeros(1, d)]), one, unit=True)] if module.on else []
    if isinstance(module, nn.Sequential):
        steps: list[Layer] = []
        for part in module:
            steps += layers(part, steps[-1].weight.shape[0] if steps else d)
        return steps
    raise ProblemError(f"a map of queries by {type(module).__name__} cannot be written without torch")
