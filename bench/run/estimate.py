"""What a run would do, and about what it would cost, found out without fetching anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby

from bench.data.catalogue import entry, is_at_hand
from bench.record import Results
from bench.run.plan import Overwrite, Planned, plan, usual_seconds
from bench.run.workbench import Workbench
from bench.spec import Cell
from methods import Chain, Method, parse


@dataclass(frozen=True)
class Work:
    """What an item asks for: tokens, weights by which each is multiplied, and bytes on disk before it is encoded."""

    tokens: int
    weights: float
    size: int


@dataclass(frozen=True)
class Cost:
    """What an encoder costs: the numbers of a vector, and the work of a document and of a query."""

    dimensions: int
    document: Work
    query: Work


def _of_texts(dimensions: int, weights: float) -> Cost:
    return Cost(dimensions, Work(128, weights, 640), Work(16, weights, 80))


# Weights without the token tables: 12 · layers · width², for gte-large 16 · layers · width².
COSTS: Mapping[str, Cost] = {
    "minilm": _of_texts(384, 10.6e6),
    "bge-small": _of_texts(384, 21.2e6),
    "gte-large": _of_texts(1024, 403e6),
    "te3-large": _of_texts(3072, 0),
    "clip-b32": Cost(512, Work(50, 85e6, 150_000), Work(77, 38e6, 60)),
    "clip-l14": Cost(768, Work(257, 302e6, 150_000), Work(77, 85e6, 60)),
}
SUSTAINED = 20e12  # operations a second
ASSUMPTIONS = (
    "About, taking 128 tokens for a text and 16 for a query, with CLIP 50 (B/32) or 257 (L/14) for a picture and 77 "
    "for a caption. GPU: 2 × weights × tokens at 20 TFLOP/s, an H100 in float32, for encoding alone, and again for "
    "each cell that trains the encoder; fitting and searching come on top. te3-large runs elsewhere, which charges for "
    "the tokens. Disk: 4 bytes a dimension; where the size of the archive is not known, 5 bytes a token and 150 kB a "
    "picture to fetch; vectors that are cached already are counted too. Time: of fitting, searching and scoring, as "
    "other seeds that are done took. ?: not known before the data set or the encoder has been opened."
)


@dataclass(frozen=True)
class Estimate:
    """What the cells of one data set and one encoder that would run ask for; None where that is not known.

    Attributes:
        dataset: its name.
        encoder: its name; empty in a total.
        cells: that would run.
        documents: to be encoded.
        queries: likewise, of all splits.
        tokens: of both.
        gpu_hours: of encoding them.
        vectors: bytes that they take on disk.
        data: bytes to be fetched; the first encoder of a data set bears them.
        seconds: of fitting and searching, where each of the cells has one of its kind among those that stand.
    """

    dataset: str
    encoder: str
    cells: int
    documents: int | None
    queries: int | None
    tokens: int | None = None
    gpu_hours: float | None = None
    vectors: int | None = None
    data: int | None = None
    seconds: float | None = None


Foresight = tuple[list[tuple[Cell, str]], list[Estimate]]  # what would become of each cell, and what that costs
SUMMED = tuple(field.name for field in fields(Estimate) if field.name not in {"dataset", "encoder", "seconds"})


def total(estimates: Sequence[Estimate]) -> Estimate:
    """The sums of what is known; of the seconds only when all are."""
    known = all(getattr(estimate, name) is not None for estimate in estimates for name in SUMMED)
    sums = {name: sum(getattr(estimate, name) or 0 for estimate in estimates) for name in SUMMED}
    seconds = [estimate.seconds for estimate in estimates]
    whole = None if None in seconds else sum(filter(None, seconds))
    return Estimate("total" if known else "total of what is known", "", **sums, seconds=whole)


def foresee(
    cells: Sequence[Cell], bench: Workbench, results: Results, overwrite: Overwrite, *, keep: bool = False
) -> Foresight:
    """Says what a run would do with each cell, and about what that costs.

    A cell "would fetch" when its data set has not been opened before; whether it has a record is not known then.
    Otherwise it "would run", "cannot run" and why, or the status of the record that stands is given.
    """
    states: list[tuple[Cell, str]] = []
    estimates: list[Estimate] = []
    for (dataset, encoder), group in groupby(cells, key=lambda cell: (cell.dataset, cell.encoder)):
        some = list(group)
        here = is_at_hand(dataset)
        if here:
            planned = plan(some, bench, results, overwrite, keep=keep)
            found = [_state(each) for each in planned]
            usual = usual_seconds(planned)
        else:
            found, usual = ["would fetch"] * len(some), {}
        states += zip(some, found, strict=True)
        if due := [cell for cell, state in zip(some, found, strict=True) if state.startswith("would")]:
            fetched = not here and all(estimate.dataset != dataset for estimate in estimates)
            times = 1 + sum(_trains_encoder(parse(cell.method)) for cell in due)
            seconds = sum(usual[cell.kind] for cell in due) if all(cell.kind in usual for cell in due) else None
            sizes = Estimate(dataset, encoder, len(due), *_sizes(some[0], bench, here), seconds=seconds)
            estimates.append(_estimate(sizes, times, fetched))
    return states, estimates


def _state(planned: Planned) -> str:
    if planned.problem:
        return f"cannot run: {planned.problem}"
    return "would run" if planned.stands is None else planned.stands.status


def _sizes(cell: Cell, bench: Workbench, here: bool) -> tuple[int | None, int | None]:
    """How many documents and judged queries there are, or are expected."""
    if here:
        dataset = bench.load(cell.dataset, cell.limit).dataset
        return len(dataset.documents), len(dataset.queries)
    counts = entry(cell.dataset).counts
    return counts.documents, min(filter(None, (counts.queries, cell.limit)), default=None)


def _trains_encoder(method: Method) -> bool:
    """Whether the documents are encoded anew for it, and the queries."""
    return any(map(_trains_encoder, method.links)) if isinstance(method, Chain) else "encoder" in method.needs


def _estimate(sizes: Estimate, times: int, fetched: bool) -> Estimate:
    """Adds what follows from the numbers of documents and queries, which are encoded so many times."""
    cost = COSTS.get(sizes.encoder)
    if cost is None or sizes.documents is None or sizes.queries is None:
        return sizes
    work = ((sizes.documents, cost.document), (sizes.queries, cost.query))
    if not cost.document.weights:  # they are not ours to train
        times = 1
    return replace(
        sizes,
        tokens=times * sum(items * each.tokens for items, each in work),
        gpu_hours=times * sum(items * 2 * each.weights * each.tokens for items, each in work) / SUSTAINED / 3600,
        vectors=sum(items * cost.dimensions * 4 for items, _ in work),
        data=_download(sizes.dataset, sum(items * each.size for items, each in work)) if fetched else 0,
    )


def _download(dataset: str, size: int) -> int:
    """Bytes to be fetched: of the archive where they are known, of the items otherwise."""
    megabytes = entry(dataset).megabytes
    return size if megabytes is None else int(megabytes * 1e6)
