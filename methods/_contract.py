"""The contract of a method: what it is given and what it gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from methods._corpus import Corpus, Item
from methods._errors import ProblemError
from methods._queries import CPU, Floats, Judged, check_queries, float32
from methods._space import Space

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from methods._tuned import Tuned

Role = Literal["query", "document"]
Similarity = Literal["cosine", "dot"]
Part = Literal["documents", "queries", "encoder", "search"]  # of a search
FEW = 30  # dev queries: below it, the standard error of a rate of .5 is above .09
OpenEncoder: TypeAlias = "Callable[[Path], Encoder]"


class Encoder(Protocol):
    """What turns items into vectors."""

    def encode(self, items: Sequence[Item], role: Role) -> Tensor:
        """Returns (len(items), d) float32 vectors on the CPU, as the model gives them."""
        ...

    def save(self, folder: Path) -> None:
        """Writes the encoder, without pickle, so that the harness opens it again from the folder."""
        ...


@runtime_checkable
class TrainableEncoder(Encoder, Protocol):
    """An encoder whose weights can be trained; a deep copy of it has weights of its own."""

    @property
    def model(self) -> SentenceTransformer:
        """What `encode` computes by: from `features` to {"sentence_embedding": (n, d)}."""
        ...

    def features(self, items: Sequence[Item], role: Role) -> dict[str, Any]:
        """What `model` reads of some items, all texts or all pictures."""
        ...


class Meter:
    """What a method reports to while it is fitted; this one forgets everything."""

    def phase(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 — forgotten with the rest
        """Times what runs inside it under `name`; time inside a nested phase counts for that one alone."""
        return nullcontext()

    def count(self, name: str, n: int = 1) -> None:
        """Adds `n` to a count: optimiser steps, encodes, documents touched."""

    def log(self, **values: float) -> None:
        """Appends one value to each named curve."""

    def spent(self, seconds: float) -> None:
        """Adds to the phase that is running what has been spent on it before, in a fit that this one goes on from."""

    def note(self, text: str) -> None:
        """Says something that a reader of the result should know."""


@dataclass(frozen=True)
class Problem:
    """All that a method may see. Test queries and their judgements are not in it.

    Attributes:
        corpus: the n documents.
        train: the judged queries to learn from.
        dev: the judged queries to choose hyperparameters and to stop by.
        encoder: what made the vectors, or None when nobody can encode.
        similarity: "cosine" while the document vectors have unit length; "dot" after a chained method left
            them un-normalised.
        device: where to compute.
        seed: of everything random.
        meter: where phases, counts and curves go.
        scratch: a folder in which a fit may leave what a later one goes on from, after it was killed or as the first
            link of another chain; None when there is none.

    Raises:
        ProblemError: when shapes disagree, a query vector is not finite, or a document does not exist.
    """

    corpus: Corpus
    train: Judged
    dev: Judged
    encoder: Encoder | None = None
    similarity: Similarity = "cosine"
    device: torch.device = CPU
    seed: int = 0
    meter: Meter = field(default_factory=Meter)
    scratch: Path | None = None

    @classmethod
    def from_vectors(cls, documents: Floats, train: Judged, dev: Judged) -> Problem:
        """A problem of which only vectors are known; documents are scaled to unit length.

        Args:
            documents: (n, d) floats, an array or a tensor; none is zero.
            train: the judged queries to learn from.
            dev: those to choose hyperparameters by.

        Raises:
            ProblemError: when shapes disagree, a row is zero or not finite, or a document does not exist.

        >>> documents = [[1, 0], [0, 2], [1, 1]]
        >>> judged = Judged.from_vectors([[1, 0.1], [0.1, 1]], [0, 1])
        >>> Problem.from_vectors(documents, judged, judged).corpus.n
        3
        """
        vectors = float32(documents)
        if vectors.ndim != 2:
            raise ProblemError(f"documents: shape {tuple(vectors.shape)}; pass (n, d)")
        lengths = vectors.norm(dim=1, keepdim=True)
        unusable = (~(lengths[:, 0] > 0) | ~lengths[:, 0].isfinite()).nonzero()
        if len(unusable):
            raise ProblemError(f"documents: row {int(unusable[0])} is zero or not finite; drop it")
        return cls(Corpus.from_vectors((vectors / lengths).numpy()), train, dev)

    def __post_init__(self) -> None:
        for name, judged in (("train", self.train), ("dev", self.dev)):
            check_queries(name, judged, self.corpus)


def check_train(problem: Problem) -> None:
    """Raises ProblemError when there is nothing to learn from."""
    _check_answers("train", problem.train)


def check_dev(problem: Problem) -> None:
    """Raises ProblemError when there is nothing to choose by, and notes when there is little."""
    _check_answers("dev", problem.dev)
    if len(problem.dev) < 2:
        raise ProblemError("dev: a single query is too few to choose by; move some from train")
    answered = int((problem.dev.relevant.lengths > 0).sum())
    if answered < FEW:
        problem.meter.note(
            f"chosen by {answered} dev queries, so few that chance may have chosen; move some from train"
        )


def _check_answers(name: str, judged: Judged) -> None:
    if not len(judged.relevant.columns):
        raise ProblemError(f"{name}.relevant: no query has a relevant document; add judgements")


@dataclass(frozen=True)
class Method(ABC):
    """A way to make an embedding search better.

    A subclass is a frozen dataclass whose fields are its hyperparameters, every one with a default. Its name is
    the name of its file, with hyphens.

    Attributes:
        join_dev: whether the dev queries join the train queries once they have served to choose hyperparameters.
        train_share: the part of the train queries to learn from, drawn by the seed: for learning curves.
        tune: the number of trials by which `space` is searched on the dev queries; 0 searches nothing.
        name: the name that it is registered under.
        version: raised whenever its results change.
        needs: what must be in the problem beyond vectors: "items", "encoder".
        space: the hyperparameters that are worth tuning, each with the values to try, the default among them.
        control: whether it is there to be compared with, and is never to be recommended.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[Literal["items", "encoder"]]] = frozenset()
    space: ClassVar[Space] = {}
    control: ClassVar[bool] = False
    join_dev: bool = field(default=False, kw_only=True)
    train_share: float = field(default=1.0, kw_only=True)
    tune: int = field(default=0, kw_only=True)

    def __init_subclass__(cls) -> None:
        if "name" not in cls.__dict__:
            cls.name = cls.__module__.rpartition(".")[2].replace("_", "-")

    @abstractmethod
    def fit(self, problem: Problem) -> Tuned:
        """Learns from `problem.train` and `problem.dev`; leaves the problem as it was."""

    def replaces(self) -> frozenset[Part]:
        """What changes where it is served; nothing, as long as a method does not say."""
        return frozenset()

    def update(self, problem: Problem, tuned: Tuned) -> Tuned:
        """Learns from a problem that has grown, with the hyperparameters that an earlier fit has chosen.

        Args:
            problem: with all train queries, old and new; new documents come after the old ones. The dev queries are
                not asked.
            tuned: what `fit` or `update` of this method returned.

        >>> from dataclasses import replace
        >>> import numpy as np
        >>> from methods import NudgeN
        >>> judged = Judged.from_vectors([[1, 0, 0.8], [1, 0.1, 0.7]], [2, 2])
        >>> problem = Problem.from_vectors(np.eye(3), judged, judged)
        >>> tuned, more = NudgeN().fit(problem), Judged.from_vectors([[1, -1, 0]], [0])
        >>> updated = NudgeN().update(replace(problem, train=problem.train.joined(more)), tuned)
        >>> updated.moved.rows.tolist()
        [0, 2]
        """
        return replace(self, **tuned.chosen).fit(problem).with_chosen(tuned.chosen)

    def query_map(self, d: int) -> torch.nn.Module:
        """The untrained module whose weights `load` fills in, for a method that maps queries of d dimensions."""
        raise NotImplementedError(f"{self.name} was saved with a query map, but does not say how to build one")

    def load(self, folder: Path, corpus: Corpus, open_encoder: OpenEncoder | None = None) -> Tuned:
        """Opens what `Tuned.save` wrote, over the corpus that it was fitted on."""
        from methods._tuned import VectorTuned

        return VectorTuned.load(folder, corpus, self.query_map, open_encoder)
