"""Negatives from a softmax over all documents: by cached vectors, which a small network brings up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from methods._corpus import Corpus
from methods._csr import Csr
from methods._maps import Residual
from methods._search import BLOCK, ON_GPU


class CorrectorNetwork(Residual):
    """From stale document vectors to current ones: h(z) = norm(z + W₂·GELU(W₁z + b₁) + b₂).

    W₂ and b₂ are 0 at the start, so that it begins as the identity of unit vectors. The method is that of Monath et
    al. (2024, arXiv 2409.01890), who leave this form open.
    """

    def __init__(self, d: int, seed: int) -> None:
        """`d` is the width of the hidden layer as well; `seed` draws its weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            super().__init__(d)

    def forward(self, stale: Tensor) -> Tensor:
        """(n, d) to (n, d), of unit length."""
        return unit(super().forward(stale))


def unit(vectors: Tensor) -> Tensor:
    """The vectors at unit length."""
    return normalize(vectors, dim=1)


@dataclass(frozen=True)
class Drawn:
    """Documents that were drawn for each query.

    Attributes:
        rows: (b, k) int64 on the CPU, those of a query all different; -1 where there was no further document.
        log_inclusion: (b, k) float32: logarithm of the probability that the document is among those drawn; for
            `gumbel_top_k` it is conditional on the noise of the others.
    """

    rows: Tensor
    log_inclusion: Tensor


@torch.no_grad()
def gumbel_top_k(
    queries: Tensor,
    documents: Corpus,
    k: int,
    *,
    scale: float,
    barred: Csr,
    random: torch.Generator,
    current: Callable[[Tensor], Tensor] = unit,
) -> Drawn:
    """Draws k documents of each query without replacement from softmax(scale · query · current(document)).

    They are the k best by logit + Gumbel noise (Kool, van Hoof and Welling 2019, arXiv 1903.06059). With φ the logits
    and κ the (k + 1)-th best of the noisy ones, a document is drawn with probability q = 1 − exp(−exp(φ − κ)), and
    Σ f/q over the documents drawn is an unbiased estimate of Σ f over all that are not barred.

    Args:
        queries: (b, d), on the device that computes.
        documents: the n documents, which are read in blocks; the noise does not depend on the blocks.
        k: documents a query.
        scale: factor on the dot products, β; at 0 all documents are equally likely.
        barred: b rows of documents that are not drawn.
        random: a generator on the CPU, which gives n × b numbers.
        current: from (m, d) vectors of `documents` to those that the softmax is over.
    """
    device, b = queries.device, len(queries)
    rows = torch.empty(b, 0, dtype=torch.int64, device=device)
    logits = noisy = torch.empty(b, 0, device=device)
    for start, block in documents.blocks(device, BLOCK * (ON_GPU if device.type == "cuda" else 1)):
        here = scale * queries @ current(block).T
        inside = (barred.columns >= start) & (barred.columns < start + len(block))
        here[barred.rows[inside].to(device), (barred.columns[inside] - start).to(device)] = -torch.inf
        numbers = torch.arange(start, start + len(block), device=device)
        rows = torch.cat([rows, numbers.expand(b, -1)], dim=1)
        logits = torch.cat([logits, here], dim=1)
        noisy = torch.cat([noisy, here + _gumbel(len(block), b, random).T.to(device)], dim=1)
        best = noisy.topk(min(k + 1, rows.shape[1]), dim=1)
        rows, logits, noisy = rows.gather(1, best.indices), logits.gather(1, best.indices), best.values
    missing = max(0, k + 1 - rows.shape[1])
    noisy = nn.functional.pad(noisy, (0, missing), value=-torch.inf)
    rows, logits = nn.functional.pad(rows, (0, missing)), nn.functional.pad(logits, (0, missing))
    nothing = noisy[:, :k].isneginf()
    log_inclusion = (-(logits[:, :k] - noisy[:, k:]).exp()).expm1().neg().log()
    return Drawn(rows[:, :k].masked_fill(nothing, -1).cpu(), log_inclusion.masked_fill(nothing, 0))


def _gumbel(rows: int, columns: int, random: torch.Generator) -> Tensor:
    """(rows, columns) float32 standard Gumbel noise; row by row, in an order that does not depend on their number."""
    return torch.rand(rows, columns, generator=random, dtype=torch.float64).log().neg().log().neg().float()


def in_batch(positives: Tensor, pairs_of: Tensor) -> Drawn:
    """The documents of a batch, for each of its pairs.

    Each is among the other b − 1 pairs, a random subset of the other train pairs, with the probability that the
    hypergeometric distribution gives (Yi et al. 2019, doi 10.1145/3298689.3346996, take the document's frequency).

    Args:
        positives: (b,) int64, the documents of the batch's pairs.
        pairs_of: (n,) int64, in how many of all train pairs each document is.
    """
    b, documents = len(positives), positives.unique()
    others = pairs_of.sum() - 1 - torch.arange(b - 1)
    missed = ((others - pairs_of[documents, None]).clamp(min=0) / others).double().prod(1)
    return Drawn(documents.expand(b, -1), (1 - missed).log().float().expand(b, -1))


def sampled_softmax(logits: Tensor, log_inclusion: Tensor | None, known: Tensor) -> Tensor:
    """The mean over queries of −log softmax of the first document among all that are given.

    Args:
        logits: (b, 1 + k): of the own document, then of those drawn.
        log_inclusion: (b, k), taken off the logits of those drawn, so that their sum stands for that over all
            documents; None takes nothing off.
        known: (b, 1 + k) bool, which are left out; the first never is.
    """
    if log_inclusion is not None:
        logits = torch.cat([logits[:, :1], logits[:, 1:] - log_inclusion], dim=1)
    known = known.clone()
    known[:, 0] = False
    own = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    return nn.functional.cross_entropy(logits.masked_fill(known, -torch.inf), own)
