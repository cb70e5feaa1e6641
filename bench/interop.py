"""A tuned corpus as a model of mteb and of beir, which then evaluate it as they do any other."""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.dataset import Content
from bench.data.mteb_tasks import contents
from bench.errors import BadInput
from methods import Encoder, Item, Picture, Queries, Tuned

if TYPE_CHECKING:
    from datasets import Dataset as Table
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models.model_meta import ModelMeta

Found = dict[str, dict[str, float]]


@dataclass(frozen=True)
class _TunedSearch:
    """What a method has tuned, and what it needs to answer in ids.

    Attributes:
        tuned: what `fit` gave back.
        encoder: the one whose vectors it was fitted on.
        document_ids: of the rows of the corpus, in their order.
    """

    tuned: Tuned
    encoder: Encoder
    document_ids: Sequence[str]

    def _check(self, corpus: Iterable[str]) -> None:
        """Refuses another corpus than the tuned one."""
        if others := set(corpus) ^ set(self.document_ids):
            differ = f"the corpus to search differs from the tuned one in {len(others):,} documents"
            raise BadInput(f"{differ}, {min(others)!r} among them; tune on the corpus that is to be searched")

    def _answers(self, query_ids: Iterable[str], items: Sequence[Item], k: int) -> Found:
        """Query id to {document id: score} of the k best documents."""
        ranking = self.tuned.search(Queries(items, self.encoder.encode(items, "query")), k)
        return {
            query: {self.document_ids[row]: score for row, score in zip(rows, scores, strict=True) if row >= 0}
            for query, rows, scores in zip(query_ids, ranking.rows.tolist(), ranking.scores.tolist(), strict=True)
        }


@dataclass(frozen=True)
class MtebSearch(_TunedSearch):
    """For `mteb.evaluate`: mteb's `SearchProtocol`. Its revision is a new one each time, lest mteb's cache answer."""

    revision: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """A name and a revision."""
        from mteb.models.model_meta import ModelMeta

        return ModelMeta.create_empty({"name": "tunebench/tuned", "revision": self.revision})

    def index(self, corpus: Table, **_: Any) -> None:
        """Checks that it is the tuned corpus.

        Raises:
            BadInput: when it has other documents.
        """
        self._check(corpus["id"])

    def search(
        self, queries: Table, *, task_metadata: TaskMetadata, top_k: int, top_ranked: object = None, **_: Any
    ) -> Found:
        """Query id to {document id: score} of the `top_k` best documents.

        Raises:
            BadInput: when the task is to rank given documents anew, or a query is neither a text nor an image.
        """
        name = f"mteb/{task_metadata.name}"
        if top_ranked is not None:
            raise BadInput(f"{name}: ranks given documents anew; a tuned corpus is searched whole")
        asked = dict(contents(name, queries, str(task_metadata.category).partition("2")[0]))
        with tempfile.TemporaryDirectory() as folder:
            items = [_item(content, Path(folder)) for content in asked.values()]
            return self._answers(asked, items, top_k)


@dataclass(frozen=True)
class BeirSearch(_TunedSearch):
    """For `EvaluateRetrieval(BeirSearch(…))` of beir."""

    def search(
        self,
        corpus: Mapping[str, Mapping[str, str]],
        queries: Mapping[str, str],
        top_k: int,
        score_function: str,  # noqa: ARG002 — the tuned corpus has its own
        **_: Any,
    ) -> Found:
        """Query id to {document id: score} of the `top_k` best documents.

        Raises:
            BadInput: when the corpus has other documents than the tuned one.
        """
        self._check(corpus)
        return self._answers(queries, list(queries.values()), top_k)


def _item(content: Content, folder: Path) -> Item:
    if isinstance(content, str):
        return content
    digest = hashlib.sha256(content).hexdigest()
    (folder / digest).write_bytes(content)
    return Picture(folder / digest, digest)
