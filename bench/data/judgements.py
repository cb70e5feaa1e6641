"""A table with a row a click, a rating or a pair of texts, read as documents, queries and grades."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.data.dataset import Extraction
from bench.data.folder import FEWEST_QUERIES
from bench.data.grades import of_clicks, of_ratings
from bench.data.rows import Row, read_rows
from bench.digest import sha256_of
from bench.errors import BadInput
from methods import nearest_name

IDS = ("document_id", "doc_id", "corpus-id", "corpus_id", "item_id", "product_id", "record_id", "docid")
TEXTS = ("positive", "answer", "passage", "text", "sentence2", "context")
OF_LOG: Mapping[str, Sequence[str]] = {
    "query": ("query", "anchor", "question", "search_query", "query_text", "sentence1"),
    "query_id": ("query_id", "query-id", "qid"),
    "document": (*IDS, "document"),
    "clicks": ("clicks", "click", "click_count", "n_clicks"),
    "rating": ("rating", "score", "label", "relevance", "grade"),
}
OF_PAIRS = {**OF_LOG, "document": (*TEXTS, "document")}
OF_DOCUMENTS: Mapping[str, Sequence[str]] = {
    "id": ("_id", "id", *IDS),
    "title": ("title", "name"),
    "text": ("text", "body", "content", "contents", "description"),
}


@dataclass(frozen=True)
class Source:
    """What is to be imported.

    Attributes:
        judgements: a table with a row a click, rating or pair, or a folder.
        documents: a table of the documents that it names by id; None when it holds their texts.
        columns: role, as in `OF_LOG`, to the column that has it, where its name does not tell.
        relevant_from: the lowest rating that makes a document relevant.
    """

    judgements: Path
    documents: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    relevant_from: float = 1.0


@dataclass
class Dropped:
    """Why something was left out, how often, and where first."""

    why: str
    times: int
    first: str


def read_judgements(source: Source) -> tuple[Extraction, list[Dropped]]:
    """Reads and checks a table.

    Raises:
        BadInput: for what cannot be read or is not what it should be, ids that do not match, or too few queries.
    """
    reader = _Reader(source)
    if source.documents is not None:
        reader.take_documents(source.documents)
    for row in read_rows(source.judgements):
        reader.take(row)
    return reader.extraction(), reader.dropped()


class _Reader:
    """Takes the rows of a table one after the other."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._roles: dict[str, str] = {}
        self._documents: dict[str, str] = {}  # id to text
        self._id_of: dict[str, str] = {}  # of the texts of pairs
        self._queries: dict[str, str] = {}  # id to text
        self._asked: dict[str, str] = {}  # text to id, where the table has no ids
        self._told: dict[str, dict[str, list[float]]] = {}  # query to document to clicks or ratings
        self._split_of: dict[str, str] = {}
        self._matching = 0
        self._dropped: dict[str, Dropped] = {}

    def take_documents(self, path: Path) -> None:
        """Takes the documents that the judgements name by id."""
        roles: dict[str, str] = {}
        places: dict[str, str] = {}
        for row in read_rows(path):
            roles = roles or _roles(path, row, OF_DOCUMENTS, {})
            if not {"id", "text"} <= roles.keys():
                raise BadInput(f"{path}: needs a column id and a column text, and has {_columns(row)}; rename them")
            key = _text(row.values[roles["id"]])
            title, text = (_text(row.values.get(roles.get(role, ""))) for role in ("title", "text"))
            text = f"{title} {text}".strip()
            if not key or not text:
                self._drop("document without id or text", row.place)
            elif self._documents.setdefault(key, text) != text:
                problem = f"id {key!r} stands in {places[key]} already, with another text"
                raise BadInput(f"{path}, {row.place}: {problem}; rename or delete one")
            elif key in places:
                self._drop("repeated document", row.place)
            places.setdefault(key, row.place)
        if not self._documents:
            raise BadInput(f"{path}: holds no document; write one a row, with columns id and text")

    def take(self, row: Row) -> None:
        """Takes a row over, or drops it and remembers why."""
        self._roles = self._roles or self._found_roles(row)
        query, document = (_text(row.values.get(self._roles[role])) for role in ("query", "document"))
        amount = self._amount(row)
        if not query:
            self._drop("no query", row.place)
        elif not document:
            self._drop("no document", row.place)
        elif amount is None:
            self._drop("no rating or number of clicks", row.place)
        elif self._source.documents and document not in self._documents:
            self._drop("unknown document", f"{row.place}, {document!r}")
        else:
            self._matching += 1
            key = document if self._source.documents else self._text_id(document)
            asked = self._query_id(row, query)
            self._told.setdefault(asked, {}).setdefault(key, []).append(amount)
            if self._split_of.setdefault(asked, row.split) != row.split:
                self._split_of[asked] = ""

    def extraction(self) -> Extraction:
        """All that was taken over.

        Raises:
            BadInput: when ids do not match, or too few queries are left.
        """
        path, documents = self._source.judgements, self._source.documents
        self._check_match()
        graded = {query: self._grades(told) for query, told in self._told.items()}
        for query, grades in graded.items():
            for document in self._told[query].keys() - grades.keys():
                self._drop("not relevant", f"{document!r} for {self._queries[query]!r}")
            if not grades:
                self._drop("query without a relevant document", repr(self._queries[query]))
        qrels = {query: grades for query, grades in graded.items() if grades}
        if len(qrels) < FEWEST_QUERIES:
            rated = "rating" in self._roles and "; is --relevant-from too high?"
            few = f"{len(qrels)} queries have a relevant document, and train, dev and test need {FEWEST_QUERIES}"
            raise BadInput(f"{path}: {few}{rated or '; add judgements'}")
        splits = {query: self._split_of[query] for query in qrels}
        official = {"train", "test"} <= set(splits.values()) and all(splits.values())
        return Extraction(
            documents=self._documents.items(),
            queries={query: self._queries[query] for query in qrels},
            qrels=qrels,
            source={each.name: sha256_of(each) for each in (path, documents) if each},
            split_of=splits if official else {},
        )

    def dropped(self) -> list[Dropped]:
        """What was not taken over, the most frequent first."""
        return sorted(self._dropped.values(), key=lambda dropped: -dropped.times)

    def _check_match(self) -> None:
        lost = self._dropped.get("unknown document")
        if lost and lost.times > self._matching:
            few = f"{lost.times:,} of {lost.times + self._matching:,} rows name a document that is not in"
            known = next(iter(self._documents))
            where = f"{self._source.judgements}, {lost.first}: {few} {self._source.documents}"
            raise BadInput(f"{where}, where ids look like {known!r}; write the same ids in both")

    def _text_id(self, text: str) -> str:
        key = self._id_of.setdefault(text, f"d{len(self._id_of) + 1}")
        self._documents[key] = text
        return key

    def _query_id(self, row: Row, text: str) -> str:
        """With a beginning of its own: what bears the id of a document would count as that document."""
        if "query_id" in self._roles:
            key = f"query-{_text(row.values.get(self._roles['query_id']))}"
        else:
            key = self._asked.setdefault(text, f"query-{len(self._asked) + 1}")
        if self._queries.setdefault(key, text) != text:
            problem = f"{key.removeprefix('query-')!r} is the id of {self._queries[key]!r} and of {text!r}"
            raise BadInput(f"{self._source.judgements}, {row.place}: {problem}; give each query an id of its own")
        return key

    def _amount(self, row: Row) -> float | None:
        """Its clicks or rating, if it has them; 1 where the table has neither."""
        column = self._roles.get("clicks", self._roles.get("rating"))
        if column is None:
            return 1.0
        value = row.values.get(column)
        if value is None or not _text(value):
            return None
        try:
            amount = float(value)
        except (TypeError, ValueError):
            amount = math.nan
        if not math.isfinite(amount) or ("clicks" in self._roles and amount < 0):
            due = "a number from 0 on" if "clicks" in self._roles else "a number"
            problem = f"{column} is {value!r}; write {due}, or leave it empty"
            raise BadInput(f"{self._source.judgements}, {row.place}: {problem}")
        return amount

    def _grades(self, told: Mapping[str, list[float]]) -> dict[str, int]:
        if "rating" in self._roles and "clicks" not in self._roles:
            return of_ratings(told, self._source.relevant_from)
        return of_clicks({document: sum(clicks) for document, clicks in told.items()})

    def _found_roles(self, row: Row) -> dict[str, str]:
        path, pairs = self._source.judgements, self._source.documents is None
        roles = _roles(path, row, OF_PAIRS if pairs else OF_LOG, self._source.columns)
        ids = [name for name in row.values if name.lower() in IDS]
        if pairs and "document" not in roles and ids:
            raise BadInput(
                f"{path}: {ids[0]!r} holds ids, and nothing says what the documents are; add --documents FILE"
            )
        for role in ("query", "document"):
            if role not in roles:
                problem = f"no column for the {role} among {_columns(row)}"
                raise BadInput(f"{path}: {problem}; name it, as --columns {role}={next(iter(row.values), 'NAME')}")
        return roles

    def _drop(self, why: str, where: str) -> None:
        self._dropped.setdefault(why, Dropped(why, 0, where)).times += 1


def _roles(path: Path, row: Row, known: Mapping[str, Sequence[str]], said: Mapping[str, str]) -> dict[str, str]:
    """Role to column: as it was said, or by the columns' names, of which the first that is known counts."""
    columns = {name.lower(): name for name in row.values}
    roles = {role: columns[name] for role, names in known.items() for name in reversed(names) if name in columns}
    for role, column in said.items():
        if role not in known:
            raise nearest_name("role", role, known)
        if column not in row.values:
            raise BadInput(f"{path}: {nearest_name('column', column, row.values)}")
        roles[role] = column
    return roles


def _columns(row: Row) -> str:
    return ", ".join(map(repr, row.values))


def _text(value: Any) -> str:
    """One line; a whole number is written alike, however the table holds it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(str(value).split())
