"""What a method has changed in a cell: found while the data and both rankings are at hand."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from bench.changes import Change, Changes, Move, Moves, Place, Snippet
from bench.data.dataset import Dataset
from bench.data.split import Rows, Split
from bench.embed.pictures import opened
from bench.errors import BadInput
from bench.names import MAIN
from methods import Item, Moved, Ranking, Tuned, VectorTuned

QUERIES = 5  # that gained, and as many that lost
ANSWERS = 3  # of a query
ASKED = 3  # train queries of a document
CHARACTERS = 120  # of a text
PIXELS = 32  # of a picture's longer side
STILL = 1e-3  # degrees; rounding to float32 turns a vector by less
CHUNK = 8_192  # documents at a time: 25 MB at d = 384


@dataclass(frozen=True)
class Answered:
    """How m test queries were answered.

    Attributes:
        ranking: the best documents of each.
        ndcg: (m,) float64, the NDCG@10 of each.
    """

    ranking: Ranking
    ndcg: NDArray[np.float64]

    @classmethod
    def scored(cls, ranking: Ranking, scores: pd.DataFrame) -> Answered:
        """From what `score` says of a ranking."""
        return cls(ranking, scores[MAIN].to_numpy())

    def ranks(self, query: int) -> dict[int, int]:
        """The documents that were found for a query, the first first, each with its rank from 1."""
        return {row: rank for rank, row in enumerate(self.ranking.rows[query].tolist(), 1) if row >= 0}


def find_changes(dataset: Dataset, split: Split, before: Answered, after: Answered, tuned: Tuned) -> Changes | None:
    """Finds the test queries whose NDCG@10 changed most, and what became of their documents.

    It depends on nothing but the cell and the encoder's own vectors, so that no order in which cells run can change
    it. Of equal changes those of the smaller hash of the query's id are taken, which favours no place in the file.

    Args:
        dataset: where the texts and pictures are.
        split: whose test queries were answered.
        before: the answers by the encoder's own vectors.
        after: the method's answers.
        tuned: what the method has made.

    Returns:
        A few of them; None when no query has gained or lost.
    """
    gain = after.ndcg - before.ndcg
    hashes = [hashlib.sha256(dataset.query_ids[row].encode()).digest() for row in split.test]
    most_first = sorted(range(len(gain)), key=lambda query: (-abs(gain[query]), hashes[query]))
    gained = [query for query in most_first if gain[query] > 0][:QUERIES]
    lost = [query for query in most_first if gain[query] < 0][:QUERIES]
    if not gained and not lost:
        return None
    found = {query: _places(dataset, int(split.test[query]), before, after, query) for query in (*gained, *lost)}
    documents = sorted({row for places in found.values() for row in places})
    moves, asking = _moves(dataset, split.train, tuned, documents)

    def change(query: int) -> Change:
        row = int(split.test[query])
        return Change(
            query=dataset.query_ids[row],
            before=float(before.ndcg[query]),
            after=float(after.ndcg[query]),
            answers=int(dataset.qrels.lengths[row]),
            places=list(found[query].values()),
        )

    return Changes(
        gained=[change(query) for query in gained],
        lost=[change(query) for query in lost],
        moves=moves,
        queries=_snippets(dataset.query_ids, dataset.queries, [*split.test[list(found)].tolist(), *asking]),
        documents=_snippets(dataset.document_ids, dataset.documents, documents),
    )


def _places(dataset: Dataset, row: int, before: Answered, after: Answered, query: int) -> dict[int, Place]:
    """By row, the documents to show of one test query, which is also a row of the data set; the best now first."""
    then, now = before.ranks(query), after.ranks(query)
    answers = dataset.qrels.take(torch.tensor([row])).columns.tolist()

    def rank(document: int, *ranks: dict[int, int]) -> tuple[float, str]:
        return min(own.get(document, math.inf) for own in ranks), dataset.document_ids[document]

    best = sorted(answers, key=lambda document: rank(document, then, now))[:ANSWERS]
    shown = {*best, *list(then)[:1], *list(now)[:1]}
    return {
        document: Place(
            document=dataset.document_ids[document],
            answer=document in answers,
            before=then.get(document),
            after=now.get(document),
        )
        for document in sorted(shown, key=lambda document: (rank(document, now), rank(document, then)))
    }


def _moves(dataset: Dataset, train: Rows, tuned: Tuned, documents: Sequence[int]) -> tuple[Moves | None, list[int]]:
    """How far documents were moved, and the rows of the train queries that are named."""
    if not isinstance(tuned, VectorTuned) or tuned.moved is None:
        return None, []
    degrees = _degrees(tuned, tuned.moved)
    left = degrees > STILL
    if not left.any():
        return None, []
    relevant = dataset.qrels.take(torch.from_numpy(train))
    chosen = left & torch.isin(tuned.moved.rows, torch.tensor(documents))
    shown, named = {}, list[int]()
    for row, angle in zip(tuned.moved.rows[chosen].tolist(), degrees[chosen].tolist(), strict=True):
        asking = train[relevant.rows[relevant.columns == row].numpy()].tolist()
        ids = [dataset.query_ids[query] for query in asking[:ASKED]]
        shown[dataset.document_ids[row]] = Move(degrees=round(angle, 1), asked=len(asking), queries=ids)
        named += asking[:ASKED]
    about = {"median": np.median(degrees[left].numpy()), "most": degrees.max()}
    rounded = {name: round(float(value), 1) for name, value in about.items()}
    return Moves(documents=int(left.sum()), **rounded, shown=shown), named


def _degrees(tuned: VectorTuned, moved: Moved) -> Tensor:
    """(m,) float64: the angle by which each document was turned; about 0 for one that was only scaled or extended."""
    was, found = replace(tuned, moved=None).corpus, [torch.empty(0, dtype=torch.float64)]
    for some in torch.arange(len(moved.rows)).split(CHUNK):
        here, there = was.rows(moved.rows[some]), moved.vectors[some, : was.d]
        across = normalize(here.double(), dim=1) - normalize(there.double(), dim=1)
        found.append((2 * (across.norm(dim=1) / 2).clamp(max=1).asin()).rad2deg())
    return torch.cat(found)


def _snippets(ids: Sequence[str], items: Sequence[Item], rows: Iterable[int]) -> dict[str, Snippet]:
    return {ids[row]: snippet(items[row]) for row in sorted(set(rows))}


def snippet(item: Item) -> Snippet:
    """The first words of a text, or a picture in small; nothing of a picture that cannot be read any more."""
    if isinstance(item, str):
        text = " ".join(item.split())
        return Snippet(text=text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…")
    try:
        drawn = opened(item).convert("RGBA")
    except (BadInput, ValueError):  # the latter for modes that cannot be converted
        return Snippet()
    drawn.thumbnail((PIXELS, PIXELS))
    written = io.BytesIO()
    # Painted anew, so that nothing of the file but its pixels goes on: no place, no camera, no comment.
    Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB").save(
        written, "WEBP", quality=60, method=6
    )
    return Snippet(picture=base64.b64encode(written.getvalue()).decode())
