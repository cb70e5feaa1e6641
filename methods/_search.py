"""Exact top-k in blocks: the one place that ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from methods._corpus import Corpus
from methods._csr import Csr
from methods._memory import halving
from methods._queries import CPU

BLOCK = 16_384  # documents a matrix product: 25 MB at d = 384
QUERY_BLOCK = 512  # queries a matrix product
PAIRS = 1_024  # exact scores at a time, whose vectors then fit into the cache
DOCUMENTS = 8_192  # read from the corpus at a time for them: 12 MB at d = 384
ON_GPU = 8  # times as many
SPARE = 32  # candidates beyond k that the fast pass keeps for the exact one


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

    One pass over the corpus in float32, or in bfloat16 where that is faster, keeps candidates; their scores are then
    computed anew in float64 and rounded to float32, so that neither the block size nor a document's place in it can
    change a score, and equal vectors have equal scores. A query whose candidates might not hold its whole top k is
    asked again for more of them.

    Args:
        queries: (m, d) float32.
        corpus: n documents.
        k: how many to return.
        exclude: m rows of documents that the query must not retrieve.
        skip: (s,) int64, documents that no query may retrieve.
        device: where the products run.
    """
    ranking = unranked(len(queries), k)
    asked, width = torch.arange(len(queries)), 2 * k + SPARE
    if exclude is not None and len(exclude):
        width += int(exclude.lengths.max())
    longest, precision = _longest(corpus), fast_precision(device)
    while len(asked):
        part = queries if len(asked) == len(queries) else queries[asked]
        candidates = _candidates(part.to(precision), corpus, min(width, corpus.n), skip, device)
        exact = _rescored(part, corpus, candidates, device)
        if exclude is not None:
            exact[listed(candidates.rows, exclude.take(asked), corpus.n)] = -torch.inf
        order = best_first(exact, torch.from_numpy(corpus.priority)[candidates.rows])
        rows, scores = candidates.rows.gather(1, order)[:, :k], exact.gather(1, order)[:, :k]
        ranking.rows[asked, : rows.shape[1]] = torch.where(scores.isneginf(), -1, rows)
        ranking.scores[asked, : scores.shape[1]] = scores
        if width >= corpus.n:
            break
        unseen = candidates.scores[:, -1]
        asked = asked[unseen + rounding(part, longest, precision) + unseen.abs() * unit(precision) >= scores[:, -1]]
        width = width if precision == torch.bfloat16 else 8 * width
        precision = torch.float32
    return ranking


def best_of_all(scores: Iterable[Tensor], m: int, corpus: Corpus, k: int, *, exclude: Csr | None = None) -> Ranking:
    """Ranks all documents by given scores, exactly; ties go by `corpus.priority`.

    Args:
        scores: for each of m queries (n,) float32, finite; they are taken one after the other, and may be written to.
        m: the number of queries.
        corpus: n documents.
        k: how many to return.
        exclude: m rows of documents that the query must not retrieve.
    """
    ranking, width = unranked(m, k), min(k, corpus.n)
    priority = torch.from_numpy(corpus.priority)
    for query, score in enumerate(scores):
        if exclude is not None:
            score[exclude.columns[exclude.offsets[query] : exclude.offsets[query + 1]]] = -torch.inf
        last = score.topk(width).values[-1]
        above, level = (score > last).nonzero()[:, 0], (score == last).nonzero()[:, 0]
        first = priority[level].topk(width - len(above), largest=False).indices
        rows = torch.cat([above, level[first]])
        rows = rows[best_first(score[None, rows], priority[None, rows])[0]]
        ranking.scores[query, :width] = score[rows]
        ranking.rows[query, :width] = torch.where(score[rows].isneginf(), -1, rows)
    return ranking


def unranked(m: int, k: int) -> Ranking:
    """No document for any of m queries yet."""
    return Ranking(torch.full((m, k), -1), torch.full((m, k), -torch.inf, dtype=torch.float32))


def fast_precision(device: torch.device) -> torch.dtype:
    """What the pass that finds candidates computes in; it can change the time, never what is found.

    On a GPU that is bfloat16 after `torch.set_float32_matmul_precision("medium")`, else float32.
    """
    if device.type == "cpu":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return torch.bfloat16 if torch.get_float32_matmul_precision() == "medium" else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16: products then take a third of the time, else many times it.

    It is asked for what it has and not timed, so that one machine always gives one answer.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 — torch 2.6 has no other


def rounding(vectors: Tensor, longest: float, precision: torch.dtype) -> Tensor:
    """(m,): how far dot products in this precision may lie from the exact ones, a generous bound.

    By the Cauchy-Schwarz inequality it is the length of each side's rounding error times the length of the other side;
    summing d terms in float32 adds at most 2√d of float32's roundings. The rounding of the result is not in it.
    Torch may use fewer bits in float32 products, though no fewer than bfloat16's, if it was told to.

    Args:
        vectors: (m, d) of one side of the products.
        longest: length of the longest vector on the other side.
        precision: of the factors.
    """
    if torch.get_float32_matmul_precision() != "highest":
        precision = torch.bfloat16
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    rounded: Tensor = torch.linalg.vector_norm(vectors - vectors.to(precision).float(), dim=1)
    sums = 4 * math.sqrt(vectors.shape[1]) * unit(torch.float32)
    return longest * ((1 + unit(precision)) * rounded + (unit(precision) + sums) * lengths)


def unit(precision: torch.dtype) -> float:
    """The largest relative error of one rounding."""
    return torch.finfo(precision).eps / 2


def _candidates(queries: Tensor, corpus: Corpus, width: int, skip: Tensor | None, device: torch.device) -> Ranking:
    """The fast pass: the `width` best of each query, in descending order, on the CPU."""
    queries = queries.to(device)
    best = Ranking(
        torch.empty(len(queries), 0, dtype=torch.int64, device=device), torch.empty(len(queries), 0, device=device)
    )
    times = ON_GPU if device.type == "cuda" else 1
    kept = None if skip is None else torch.ones(corpus.n, dtype=torch.bool).index_fill_(0, skip, False)
    for start, block in corpus.blocks(device, BLOCK * times):
        here = None if kept is None else kept[start : start + len(block)]
        for rows, documents in halving(partial(_picked, block, here, queries.dtype), len(block), len(block)):
            best = _merged(best, queries, start + rows, documents, width, QUERY_BLOCK * times)
    absent = width - best.rows.shape[1]
    return Ranking(
        torch.nn.functional.pad(best.rows, (0, absent)).cpu(),
        torch.nn.functional.pad(best.scores, (0, absent), value=-torch.inf).cpu(),
    )


def _picked(block: Tensor, kept: Tensor | None, precision: torch.dtype, some: slice) -> tuple[Tensor, Tensor]:
    """Some rows of a block, or those among them that are to be kept, and the documents there."""
    rows, documents = torch.arange(some.start, some.stop, device=block.device), block[some]
    if kept is not None:
        here = kept[some].to(block.device)
        rows, documents = rows[here], documents[here]
    return rows, documents.to(precision)


def _merged(best: Ranking, queries: Tensor, rows: Tensor, documents: Tensor, width: int, size: int) -> Ranking:
    """The best of those so far and of a block of documents, `size` queries at a time."""

    def of(some: slice) -> Ranking:
        top = (queries[some] @ documents.T).topk(min(width, len(rows)), dim=1)
        known = torch.cat([best.rows[some], rows[top.indices]], dim=1)
        scores = torch.cat([best.scores[some], top.values.float()], dim=1)
        merged = scores.topk(min(width, known.shape[1]), dim=1)
        return Ranking(known.gather(1, merged.indices), merged.values)

    found = list(halving(of, len(queries), size))
    return Ranking(torch.cat([part.rows for part in found]), torch.cat([part.scores for part in found]))


def _rescored(queries: Tensor, corpus: Corpus, candidates: Ranking, device: torch.device) -> Tensor:
    """The candidates' scores in float64, rounded to float32; -inf where there is no candidate."""
    query = torch.arange(len(queries)).repeat_interleave(candidates.rows.shape[1])
    exact = document_dots(queries, query, corpus, candidates.rows.flatten(), device).float()
    return torch.where(candidates.scores.isneginf(), -torch.inf, exact.reshape(candidates.rows.shape))


def document_dots(queries: Tensor, query: Tensor, corpus: Corpus, rows: Tensor, device: torch.device = CPU) -> Tensor:
    """(e,) float64 on the CPU: the exact score of each pair of a query and a document."""
    queries, dots = queries.to(device), [torch.empty(0, dtype=torch.float64)]
    for some in torch.arange(len(rows)).split(DOCUMENTS):
        known, place = rows[some].unique(return_inverse=True)
        dots.append(pair_dots(queries, query[some], corpus.rows(known), place, device))
    return torch.cat(dots)


def pair_dots(left: Tensor, i: Tensor, right: Tensor, j: Tensor, device: torch.device = CPU) -> Tensor:
    """(e,) float64 on the CPU: left[i] · right[j] of each pair, the same for equal vectors wherever they stand."""
    size = PAIRS * (1 if device.type == "cpu" else ON_GPU**2)
    left, right = left.to(device), right.to(device)
    i, j = i.to(device), j.to(device)
    dots = halving(lambda some: left[i[some]].double().mul_(right[j[some]]).sum(1).cpu(), len(i), size)
    return torch.cat([torch.empty(0, dtype=torch.float64), *dots])


def listed(rows: Tensor, lists: Csr, n: int) -> Tensor:
    """Whether each of (m, k) documents is in the list of its query."""
    keys = torch.arange(len(rows))[:, None] * n + rows
    return torch.isin(keys, lists.rows * n + lists.columns)


def best_first(scores: Tensor, priority: Tensor) -> Tensor:
    """The order of each row: by descending score, then by ascending priority, both (m, k)."""
    by_priority = priority.argsort(dim=1)
    return by_priority.gather(1, scores.gather(1, by_priority).argsort(dim=1, descending=True, stable=True))


def _longest(corpus: Corpus) -> float:
    """Length of the longest document; those that have not moved have unit length."""
    if corpus.moved is None or not len(corpus.moved.rows):
        return 1.0
    return max(1.0, float(torch.linalg.vector_norm(corpus.moved.vectors, dim=1).amax()))
