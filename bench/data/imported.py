"""A BEIR folder from what people have: a log of clicks or ratings, pairs of texts, or another BEIR folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bench.data._near_copies import near_copies
from bench.data.dataset import Content, Extraction
from bench.data.folder import read_folder, write_folder
from bench.data.judgements import Dropped, Source, read_judgements
from bench.whole import check_new, make_whole
from methods import Item, Picture

COPY = 0.95  # texts are near-copies when the cosine of their TF-IDF vectors is above it
COMPARED = 50_000  # texts that are compared with one another; of more, those that are the same words in the same order


@dataclass(frozen=True)
class Imported:
    """What was taken over, and what was not.

    Attributes:
        counts: what was taken over, in numbers.
        dropped: what was left out, and why.
        documents: id of each document that says nearly the same as an earlier one, to the id of the first such.
        queries: likewise.
    """

    counts: Mapping[str, int]
    dropped: Sequence[Dropped]
    documents: Mapping[str, str]
    queries: Mapping[str, str]


def import_folder(source: Source, out: Path) -> Imported:
    """Reads and checks what there is and writes it as a BEIR folder; its near-copies are listed in `near-copies.tsv`.

    Queries that are near-copies share a group, so that a grouped split has them on one side.

    Raises:
        BadInput: for what cannot be read or is not what it should be; then nothing is written.
    """
    check_new(out)
    folder = source.judgements
    extraction, dropped = (_read_again(folder), []) if (folder / "corpus.jsonl").exists() else read_judgements(source)
    documents = dict(extraction.documents)
    alike, asked = _first_alike(documents), _first_alike(extraction.queries)
    grouped = replace(extraction, documents=documents.items(), groups={**asked, **extraction.groups})
    copies, queries = ({key: first for key, first in firsts.items() if key != first} for firsts in (alike, asked))
    make_whole(out, partial(_write, grouped, copies, queries))
    judgements = sum(map(len, extraction.qrels.values()))
    counts = {"documents": len(documents), "queries": len(extraction.queries), "judgements": judgements}
    return Imported(counts, dropped, copies, queries)


def _write(extraction: Extraction, documents: Mapping[str, str], queries: Mapping[str, str], folder: Path) -> None:
    write_folder(folder, extraction)
    lines = ["kind\tid\tfirst"]
    for kind, copies in (("document", documents), ("query", queries)):
        lines += [f"{kind}\t{key}\t{first}" for key, first in copies.items()]
    (folder / "near-copies.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _read_again(folder: Path) -> Extraction:
    """What a BEIR folder holds, without queries that have no answer; its own groups of near-copies stay."""
    dataset = read_folder(folder)
    ids, offsets = dataset.document_ids, dataset.qrels.offsets.tolist()
    judged = list(zip(dataset.qrels.columns.tolist(), map(int, dataset.qrels.values.tolist()), strict=True))
    first = {group: key for key, group in zip(reversed(dataset.query_ids), dataset.groups[::-1].tolist(), strict=True)}
    shared = len(first) < len(dataset.query_ids)
    return Extraction(
        documents=zip(ids, map(_content, dataset.documents), strict=True),
        queries=dict(zip(dataset.query_ids, map(_content, dataset.queries), strict=True)),
        qrels={
            query: {ids[row]: grade for row, grade in judged[start:end]}
            for query, start, end in zip(dataset.query_ids, offsets[:-1], offsets[1:], strict=True)
        },
        source={"imported": dataset.fingerprint},
        groups={key: first[group] for key, group in zip(dataset.query_ids, dataset.groups.tolist(), strict=True)}
        if shared
        else {},
        split_of={dataset.query_ids[row]: split for split, rows in dataset.official.items() for row in rows.tolist()},
    )


def _content(item: Item) -> Content:
    return item.path.read_bytes() if isinstance(item, Picture) else item


def _first_alike(contents: Mapping[str, Content]) -> dict[str, str]:
    """The id of each text to that of the first that says nearly the same; what has no word is left out."""
    words = {
        key: " ".join(re.findall(r"\w+", content.lower()))
        for key, content in contents.items()
        if isinstance(content, str)
    }
    keys = [key for key, said in words.items() if said]
    if not keys:
        return {}
    if len(keys) <= COMPARED:
        firsts = near_copies([words[key] for key in keys], COPY)
    else:
        row_of: dict[str, int] = {}
        firsts = np.array([row_of.setdefault(words[key], row) for row, key in enumerate(keys)])
    return {key: keys[first] for key, first in zip(keys, firsts.tolist(), strict=True)}
