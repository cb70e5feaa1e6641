"""One run on a problem of any size, in a process of its own: `python nudge_alone.py RUN N ROUNDS FILE`.

Prints the seconds of the best of some rounds, and the peak megabytes of what the first allocates beyond the problem;
files that it maps do not count. With a FILE the document vectors lie there instead of in memory. RUN is the label of a
method; `NUDGEM`, `NUDGEN` or the same with `/nontrain`, the authors' package; `product/dev` or `product/train`, the
scores of all documents for those queries.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from methods import Corpus, Csr, Judged, Problem, parse

NOISE = 4.5  # lengths of the document that answers: among 100,000 the NDCG@10 of what has not moved is about .6


def make_problem(n: int, file: Path | None = None, *, d: int = 384, train: int = 20_000, dev: int = 2_000) -> Problem:
    """Documents in random directions, in memory or in a file; queries near one of the first, as many as `train`."""
    random = torch.Generator().manual_seed(0)
    vectors = np.empty((n, d), np.float32) if file is None else np.lib.format.open_memmap(file, "w+", "<f4", (n, d))
    for at in range(0, n, 100_000):
        vectors[at : at + 100_000] = normalize(torch.randn(min(100_000, n - at), d, generator=random), dim=1)
    first = torch.from_numpy(vectors[:train].copy())

    def judged(m: int) -> Judged:
        answers = torch.randint(len(first), (m,), generator=random)
        noise = torch.randn(m, d, generator=random) / d**0.5
        return Judged(
            [], normalize(first[answers] + NOISE * noise, dim=1), relevant=Csr.from_rows(answers[:, None].tolist())
        )

    corpus = Corpus((), (vectors,), np.random.default_rng(0).permutation(n))
    return Problem(corpus, judged(train), judged(dev))


def theirs(problem: Problem, name: str, nontrain: bool) -> Callable[[], object]:
    """A run of the package; `nontrain` tells it apart the documents that answer no query, by which it saves work."""
    import nudge

    vectors, sets = problem.corpus.shards[0], (problem.train, problem.dev)
    embeddings, others, number = vectors, None, torch.arange(len(vectors))
    if nontrain:
        asked = torch.cat([judged.relevant.columns for judged in sets]).unique()
        number[asked] = torch.arange(len(asked))
        embeddings, others = vectors[asked.numpy()], np.delete(vectors, asked.numpy(), axis=0)
    queries = [
        {"q_embs": judged.vectors.numpy(), "q_ans_indx": number[judged.relevant.columns][:, None].tolist()}
        for judged in sets
    ]
    method = getattr(nudge, name)(problem.device)
    return partial(method.finetune_embeddings, embeddings, *queries, nontrain_embeddings=others)


def product(problem: Problem, role: str) -> None:
    """The scores of all documents for the dev or train queries, 2,000 at a time, and the best of each."""
    vectors = torch.from_numpy(problem.corpus.shards[0])
    for queries in getattr(problem, role).vectors.split(2_000):
        (queries @ vectors.T).max(dim=1)


@contextmanager
def allocated() -> Iterator[list[int]]:
    """Bytes by which the memory of the process grows at the most, looked at every 2 ms."""

    def now() -> int:
        line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("RssAnon"))
        return int(line.split()[1]) * 1024

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], now() - before)

    before, peak, done = now(), [0], threading.Event()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def prepared(problem: Problem, what: str) -> Callable[[], object]:
    name, _, mode = what.partition("/")
    if name == "product":
        return partial(product, problem, mode)
    if name.startswith("NUDGE"):
        return theirs(problem, name, nontrain=mode == "nontrain")
    return partial(parse(what).fit, problem)


def main(what: str, n: str, rounds: str, file: str | None = None) -> None:
    problem, seconds, bytes_beyond = make_problem(int(n), file and Path(file)), [], []
    run = prepared(problem, what)
    torch.mm(torch.ones(512, 512), torch.ones(512, 512))  # loads what is loaded once
    for _ in range(int(rounds)):
        with allocated() as peak, contextlib.redirect_stdout(sys.stderr):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
        bytes_beyond += peak
    print(min(seconds), bytes_beyond[0] / 2**20)


if __name__ == "__main__":
    main(*sys.argv[1:])
