"""Small synthetic problems that have everything that makes real ones hard."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_model, save_model
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, StaticEmbedding
from sentence_transformers.util import batch_to_device
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch.nn.functional import normalize

from methods import Corpus, Csr, Judged, Method, Problem, Queries

N, D = 60, 12
WORDS = ["red", "green", "blue", "round", "square", "large", "small", "old"]
VOCABULARY = [*WORDS, *(f"d{row}" for row in range(N)), *(f"q{row}" for row in range(9)), "new", "newer"]


@dataclass(frozen=True)
class WordEncoder:
    """Encodes a text as the mean of fixed random vectors of its words, the whole turned by `turn`; can be trained."""

    turn: int = 0

    @cached_property
    def model(self) -> SentenceTransformer:
        random = torch.Generator().manual_seed(0)
        vectors = torch.randn(len(VOCABULARY), D, generator=random).roll(self.turn, dims=1)
        tokenizer = Tokenizer(WordLevel(dict(zip(VOCABULARY, range(len(VOCABULARY)), strict=True))))
        tokenizer.pre_tokenizer = WhitespaceSplit()
        same = Dense(D, D, bias=False, activation_function=torch.nn.Identity(), init_weight=torch.eye(D))
        return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors), same], device="cpu")

    def features(self, items, role):
        return self.model.preprocess(list(items))

    def encode(self, items, role):
        with torch.no_grad():
            features = batch_to_device(self.features(items, role), self.model.device)
            return self.model(features)["sentence_embedding"].cpu()

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        save_model(self.model, str(folder / "model.safetensors"))

    @classmethod
    def open(cls, folder: Path) -> WordEncoder:
        encoder = cls()
        load_model(encoder.model, folder / "model.safetensors")
        return encoder


@dataclass(frozen=True)
class Split:
    """A problem with the test queries that it must not contain."""

    problem: Problem
    test: Judged


def make_split(seed: int = 0) -> Split:
    """60 documents, two of them alike; 80 queries, one without an answer in each split, one with grades."""
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(WORDS, 3)) + f" d{row}" for row in range(N)]
    texts[7] = texts[3]
    encoder = WordEncoder()
    corpus = Corpus.from_vectors(normalize(encoder.encode(texts, "document"), dim=1).numpy(), texts)
    train, dev, test = (_judged(random, encoder, texts, m) for m in (50, 14, 16))
    return Split(Problem(corpus, train, dev, encoder, seed=seed), test)


def _judged(random: np.random.Generator, encoder: WordEncoder, texts: list[str], m: int) -> Judged:
    answers = [{int(row): 1.0 for row in random.choice(N // 2, 2, replace=False)} for _ in range(m)]
    items = [
        " ".join(" ".join(texts[row].split()[:2]) for row in row_answers) + f" q{random.integers(9)}"
        for row_answers in answers
    ]
    answers[0] = {}
    answers[1] = dict.fromkeys(answers[1], 2.0) | {N - 1: 1.0}
    exclude = Csr.from_rows([[5] if number == 2 else [] for number in range(m)])
    return Judged(items, encoder.encode(items, "query"), exclude, relevant=Csr.from_rows(answers))


def small(method: Method) -> Method:
    """The method with whatever budget it has cut to what a test can wait for."""
    budget = {"steps": 20, "batch": 16, "check_every": 5}
    known = vars(method)
    return replace(method, **{key: value for key, value in budget.items() if key in known})


def plain(queries: Queries) -> tuple:
    """All tensors of some queries, to compare before and after."""
    tensors = [queries.vectors]
    if queries.exclude is not None:
        tensors += [queries.exclude.offsets, queries.exclude.columns, queries.exclude.values]
    if isinstance(queries, Judged):
        tensors += [queries.relevant.offsets, queries.relevant.columns, queries.relevant.values]
    return tuple(tensor.clone() for tensor in tensors)


def make_hard_problem(seed: int, *, n: int = 24, d: int = 3, train: int = 20, dev: int = 8) -> Problem:
    """Few dimensions, so that documents arrive, point away from g and tie; with all that the profile must bear:
    duplicate documents, several and graded answers, answers that never move, equal g, a query without an answer,
    exclusions, queries of any length."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, d))
    vectors[3] = vectors[11] = vectors[n - 2]
    unit = normalize(torch.from_numpy(vectors), dim=1).float()

    def judged(m: int, upto: int) -> Judged:
        rows = [
            {
                int(row): float(random.integers(1, 4))
                for row in random.choice(upto, random.integers(1, 4), replace=False)
            }
            for _ in range(m)
        ]
        rows[0] = {1: 1.0, 2: 1.0}  # 1 and 2 share all their train queries if nothing else names them
        rows[-1] = {}
        queries = torch.from_numpy(random.normal(size=(m, d)) * random.uniform(0.2, 3)).float()
        exclude = Csr.from_rows([[int(random.integers(n))] if random.random() < 0.3 else [] for _ in range(m)])
        return Judged([], queries, exclude, relevant=Csr.from_rows(rows))

    return Problem(Corpus.from_vectors(unit.numpy()), judged(train, n // 2), judged(dev, n))
