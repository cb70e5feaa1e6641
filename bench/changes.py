"""What a method changed in the search of one cell: a few queries and documents, small enough to be shown on a page."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import BadInput, first_fault


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Snippet(_Part):
    """The beginning of a text, or a small picture.

    Attributes:
        text: None for a picture.
        picture: a WebP in Base64; None for a text, and for a picture that could not be read any more.
    """

    text: str | None = None
    picture: str | None = Field(default=None, pattern=r"^[A-Za-z0-9+/]+={0,2}$")


class Place(_Part):
    """Where one document stood among those that were found for a query.

    Attributes:
        document: its id.
        answer: whether it is relevant.
        before: its rank under `none`, from 1; None when it was not found.
        after: likewise under the method.
    """

    document: str
    answer: bool
    before: int | None
    after: int | None


class Change(_Part):
    """A test query whose answer has changed.

    Attributes:
        query: its id.
        before: its NDCG@10 under `none`.
        after: its NDCG@10 under the method.
        answers: the number of its relevant documents.
        places: the best of these, and what came first before and after; the best now first.
    """

    query: str
    before: float
    after: float
    answers: int
    places: list[Place]


class Move(_Part):
    """How far a document's vector was moved.

    Attributes:
        degrees: the angle between where it was and where it is.
        asked: the number of train queries that it answers.
        queries: ids of a few of them.
    """

    degrees: float
    asked: int
    queries: list[str]


class Moves(_Part):
    """The documents of a cell whose vectors were moved one by one.

    Attributes:
        documents: their number.
        median: of the degrees.
        most: the largest of the degrees.
        shown: by id, those of them that stand in a `Place`.
    """

    documents: int
    median: float
    most: float
    shown: dict[str, Move]


class Changes(_Part):
    """What changed most between `none` and the method on the same data, encoder and seed.

    Attributes:
        gained: the queries that gained most, the most first.
        lost: the queries that lost most, the most first.
        moves: None when no document was moved by itself.
        queries: by id, the queries that are named above.
        documents: by id, the documents that are named above.
    """

    gained: list[Change]
    lost: list[Change]
    moves: Moves | None
    queries: dict[str, Snippet]
    documents: dict[str, Snippet]


def read_changes(path: Path) -> Changes | None:
    """What a cell has changed, or None when nothing is known of it.

    Raises:
        BadInput: when the file is damaged.
    """
    try:
        return Changes.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise BadInput(f"{path}: {first_fault(error)}; delete the file, and the page leaves it out") from None
