"""What to ship, decided from the cells of one board: the form of `decision.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import BadInput, first_fault
from bench.whole import write_whole

FILE = "decision.json"
REACH = 8  # times the train queries that there are, as far as a curve is trusted to go on


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Gain(_Part):
    """What a method gains over `none` in NDCG@10.

    Attributes:
        queries: test queries, all seeds together.
        value: the difference of the means.
        half_width: of its 95 % interval over clusters of queries; None for a single cluster.
    """

    queries: int
    value: float
    half_width: float | None


class Candidate(_Part):
    """A method that could be shipped.

    Attributes:
        method: its label.
        ndcg: mean NDCG@10 over the seeds.
        gain: over `none`.
        fit_seconds: from embeddings to a tuned index; None when a cell did not tell.
        replaces: what changes where it is served: "documents", "queries", "encoder", "search".
        updates: whether it learns from new judgements without starting over.
        touched: how many documents it moves, at the most over the seeds; None when it does not count them.
    """

    method: str
    ndcg: float
    gain: Gain
    fit_seconds: float | None
    replaces: list[str]
    updates: bool
    touched: int | None = None


class Point(_Part):
    """NDCG@10 by the train queries that there were: over the seeds that all points of a curve have."""

    share: float
    train_queries: int
    ndcg: float


class Trend(_Part):
    """Where a rival overtakes, should both curves go on as they do.

    Attributes:
        rival: its label.
        queries: the number of train queries; None when it is beyond `REACH` times those that there are.
    """

    rival: str
    queries: int | None


class Decision(_Part):
    """What to ship.

    Attributes:
        setting: of the board.
        cells: what tells whether the board still has the cells that this was decided from.
        seeds: that were run.
        counts: documents, and train, dev and test queries of a seed.
        none: mean NDCG@10 of `none`.
        verdict: "better" when a method is significantly above `none`; "none" when nothing gains anything worth its
            while; else the data "cannot tell".
        chosen: the method; None unless one is better.
        best: the highest mean.
        tied: others that are not significantly below `best` and significantly above `none`.
        like: the gain on test queries that are worded like a train query; None when that is not known.
        new: the gain on the others.
        encode_seconds: what encoding documents and queries took when it was cold.
        curves: by label, NDCG@10 by the share of train queries, the smallest first.
        trends: where others overtake; empty without curves.
        left_out: methods that were not tried, and why.
    """

    setting: dict[str, Any]
    cells: str
    seeds: list[int]
    counts: dict[str, int]
    none: float
    verdict: Literal["better", "none", "cannot tell"]
    chosen: str | None
    best: Candidate
    tied: list[Candidate]
    like: Gain | None
    new: Gain | None
    encode_seconds: float
    curves: dict[str, list[Point]]
    trends: list[Trend]
    left_out: dict[str, str]


class _Decisions(_Part):
    schema_version: int = 1
    decisions: list[Decision]


def read_decisions(folder: Path) -> list[Decision]:
    """The decisions that a results folder holds; none before `tunebench recommend`.

    Raises:
        BadInput: when the file is damaged.
    """
    path = folder / FILE
    try:
        return _Decisions.model_validate_json(path.read_bytes()).decisions
    except FileNotFoundError:
        return []
    except ValidationError as error:
        raise BadInput(f"{path}: {first_fault(error)}; delete the file, and `tunebench recommend` it again") from None


def write_decisions(folder: Path, decisions: list[Decision]) -> None:
    """Writes them into a results folder."""
    text = _Decisions(decisions=decisions).model_dump_json(indent=1)
    write_whole(folder / FILE, text.encode() + b"\n")
