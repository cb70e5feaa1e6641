"""Exact top-k in blocks: the one place that ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from methods._contract import CPU, Csr
from methods._corpus import Corpus

QUERY_BLOCK = 1024
SPARE = 32  # candidates beyond k that the float32 pass keeps for the exact one


@dataclass(frozen=True)
class Ranking:
    """The best documents of each query, best first.

    Attributes:
        rows: (m, k) int64 document rows; -1 where there is no further document.
        scores: (m, k) float32 dot products; -inf where there is no further document.
    """

    rows: Tensor
    scores: Tensor


def top_k(
    queries: Tensor,
    corpus: Corpus,
    k: int,
    *,
    exclude: Csr | None = None,
    skip: Tensor | None = None,
    device: torch.device = CPU,
) -> Ranking:
    """Ranks all documents by dot product, exactly; ties go by `corpus.priority`.

    One float32 pass over the corpus keeps candidates; their scores are then computed anew in float64 and rounded
    to float32, so that neither the block size nor a document's place in it can change a score, and equal vectors
    have equal scores. A query whose candidates might not hold its whole top k is asked again for more of them.

    Args:
        queries: (m, d) float32.
        corpus: n documents.
        k: how many to return.
        exclude: m rows of documents that the query must not retrieve.
        skip: (n,) bool, documents that no query may retrieve.
        device: where the products run.
    """
    ranking = Ranking(torch.full((len(queries), k), -1), torch.full((len(queries), k), -torch.inf, dtype=torch.float32))
    asked, width = torch.arange(len(queries)), k + SPARE
    while len(asked):
        excluded = None if exclude is None else exclude.take(asked)
        part = queries[asked]
        candidates = _candidates(part, corpus, min(width, corpus.n), excluded, skip, device)
        exact = _rescored(part, corpus, candidates, device)
        order = _best_first(exact, torch.from_numpy(corpus.priority)[candidates.rows])
        rows, scores = candidates.rows.gather(1, order)[:, :k], exact.gather(1, order)[:, :k]
        ranking.rows[asked, : rows.shape[1]] = torch.where(scores.isneginf(), -1, rows)
        ranking.scores[asked, : scores.shape[1]] = scores
        if width >= corpus.n:
            break
        error = _float32_error(part, corpus)
        asked = asked[candidates.scores[:, -1] + error >= scores[:, -1]]
        width *= 8
    return ranking


def _candidates(
    queries: Tensor, corpus: Corpus, width: int, exclude: Csr | None, skip: Tensor | None, device: torch.device
) -> Ranking:
    """The float32 pass: the `width` best of each query, in descending order, on the CPU."""
    queries = queries.to(device)
    best = Ranking(
        torch.empty(len(queries), 0, dtype=torch.int64, device=device), torch.empty(len(queries), 0, device=device)
    )
    for start, block in corpus.blocks(device):
        found = []
        for at in range(0, len(queries), QUERY_BLOCK):
            some = slice(at, min(at + QUERY_BLOCK, len(queries)))
            scores = queries[some] @ block.T
            if skip is not None:
                scores[:, skip[start : start + len(block)].to(device)] = -torch.inf
            if exclude is not None:
                here = (exclude.columns >= start) & (exclude.columns < start + len(block))
                here &= (exclude.rows >= some.start) & (exclude.rows < some.stop)
                scores[exclude.rows[here].to(device) - at, exclude.columns[here].to(device) - start] = -torch.inf
            top = scores.topk(min(width, len(block)), dim=1)
            rows = torch.cat([best.rows[some], top.indices + start], dim=1)
            merged = torch.cat([best.scores[some], top.values], dim=1).topk(min(width, rows.shape[1]), dim=1)
            found.append(Ranking(rows.gather(1, merged.indices), merged.values))
        best = Ranking(torch.cat([part.rows for part in found]), torch.cat([part.scores for part in found]))
    return Ranking(best.rows.cpu(), best.scores.cpu())


def _rescored(queries: Tensor, corpus: Corpus, candidates: Ranking, device: torch.device) -> Tensor:
    """The candidates' scores in float64, rounded to float32; what was excluded stays excluded."""
    parts = []
    for at in range(0, len(queries), QUERY_BLOCK // 8):
        some = slice(at, at + QUERY_BLOCK // 8)
        known, place = candidates.rows[some].unique(return_inverse=True)
        vectors = corpus.rows(known).to(device, torch.float64)[place.to(device)]
        parts.append(torch.einsum("qkd,qd->qk", vectors, queries[some].to(device, torch.float64)).float().cpu())
    return torch.where(candidates.scores.isneginf(), -torch.inf, torch.cat(parts))


def _best_first(scores: Tensor, priority: Tensor) -> Tensor:
    """The order of each row: by descending score, then by ascending priority, both (m, k)."""
    by_priority = priority.argsort(dim=1)
    return by_priority.gather(1, scores.gather(1, by_priority).argsort(dim=1, descending=True, stable=True))


def _float32_error(queries: Tensor, corpus: Corpus) -> Tensor:
    """(m,): a bound on how far a float32 dot product of d terms lies from the exact one, generous by design."""
    moved = torch.ones(1, 1) if corpus.moved is None else corpus.moved.vectors
    longest = max(1.0, float(torch.linalg.vector_norm(moved, dim=1).amax())) if len(moved) else 1.0
    lengths: Tensor = torch.linalg.vector_norm(queries, dim=1)
    return lengths * (longest * math.sqrt(corpus.d) * 2 * torch.finfo(torch.float32).eps)
