"""A problem on which training moves every document."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.functional import normalize

from methods import Corpus, Csr, Judged, Problem
from methods.corrector import Corrector

N, D, TRAIN = 900, 8, 60


class Model(nn.Module):
    """A small network with what must stand still in training: drop-out and batch normalisation."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(D, 24), nn.BatchNorm1d(24), nn.Dropout(0.5), nn.Tanh(), nn.Linear(24, D))

    def forward(self, features):
        return {"sentence_embedding": self.layers(features["vectors"])}


@dataclass(frozen=True)
class ToyEncoder:
    """Items are numbers of fixed random vectors, which a small network maps."""

    table: torch.Tensor
    model: Model
    asked: Counter = field(default_factory=Counter)

    def features(self, items, role):
        self.asked[role] += len(items)
        return {"vectors": self.table[[int(item) for item in items]]}

    def encode(self, items, role):
        with torch.no_grad():
            return self.model.eval()(self.features(items, role))["sentence_embedding"]

    def save(self, folder):
        raise AssertionError("not asked for")


def drifting_problem(**given: object) -> Problem:
    """900 documents; a query lies near its answer, before a network that was not trained for it."""
    random = torch.Generator().manual_seed(0)
    documents = torch.randn(N, D, generator=random)
    queries = documents[: 2 * TRAIN] + 0.3 * torch.randn(2 * TRAIN, D, generator=random)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = ToyEncoder(torch.cat([documents, queries]), Model())
    items = [str(row) for row in range(N)]

    def judged(first: int) -> Judged:
        asked = [str(N + row) for row in range(first, first + TRAIN)]
        answers = Csr.from_rows([[row] for row in range(first, first + TRAIN)])
        return Judged(asked, encoder.encode(asked, "query"), relevant=answers)

    corpus = Corpus.from_vectors(normalize(encoder.encode(items, "document"), dim=1).numpy(), items)
    return Problem(corpus, judged(0), judged(TRAIN), encoder, **given)


QUICK = Corrector(batch=16, negatives=5, steps=20, refresh=6, learning_rate=3e-3, check_every=5, max_drop=1.0)


def weights(encoder) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in encoder.model.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
