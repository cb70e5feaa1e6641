"""Queries with their judgements in one file: a JSON object a line, with `_id`, `text` or `image`, and `relevant`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.faults import Faults
from bench.data.items import objects
from bench.errors import BadInput
from methods import Item


@dataclass(frozen=True)
class JudgedQueries:
    """Queries by id, and by id their relevant documents: {row: grade}."""

    items: Mapping[str, Item]
    relevant: Mapping[str, Mapping[int, float]]


def read_judged(path: Path, row_of: Mapping[str, int]) -> JudgedQueries:
    """Reads queries whose `relevant` is a list of document ids, or an object of them with grades.

    Raises:
        BadInput: for a file that is missing or empty, or lines that are not what they should be.
    """
    faults, items, relevant = Faults(path), dict[str, Item](), dict[str, dict[int, float]]()
    for line, row in objects(path, (), faults):
        key, item, grades = row["_id"], row.get("image") or row.get("text", ""), _grades(row.get("relevant"))
        unknown = next((document for document in grades or () if document not in row_of), None)
        if key in items:
            faults.add("id", line.number, f"id {key!r} stands there twice; rename or delete one")
        elif isinstance(item, str) and not item.strip():
            faults.add("empty", line.number, "the text is empty; write one or delete the line")
        elif not grades:
            faults.add("relevant", line.number, "'relevant' must be a list of document ids, or {id: grade from 1 on}")
        elif unknown is not None:
            faults.add("document", line.number, f"document {unknown!r} is not known; add it to the documents first")
        else:
            items[key] = item
            relevant[key] = {row_of[document]: grade for document, grade in grades.items()}
    faults.check()
    if not items:
        raise BadInput(f"{path}: holds no query; write one JSON object a line")
    return JudgedQueries(items, relevant)


def _grades(written: Any) -> dict[str, float] | None:
    """None when it is neither of both forms."""
    grades = dict.fromkeys(written, 1) if isinstance(written, list) and all(map(_is_id, written)) else written
    valid = isinstance(grades, dict) and all(type(grade) is int and grade > 0 for grade in grades.values())
    return {document: float(grade) for document, grade in grades.items()} if valid else None


def _is_id(value: object) -> bool:
    return isinstance(value, str)
