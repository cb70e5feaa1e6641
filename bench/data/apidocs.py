"""The functions and classes of five scientific packages, asked for by sentences that describe them.

A document is a qualified name and what the docstring says of the parameters. The queries are sentences from elsewhere
in that docstring, and those by which the See Also sections of other docstrings refer to it. Nothing is downloaded: the
texts are those of the installed packages.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.data._docstrings import Docstring, parse
from bench.data._installed import installed_versions
from bench.data._near_copies import near_copies
from bench.data._public_api import PublicObject, public_objects
from bench.data.dataset import Extraction

PACKAGES = {"numpy": "numpy", "scipy": "scipy", "pandas": "pandas", "scikit-learn": "sklearn", "networkx": "networkx"}

DOCUMENT_WORDS = 96  # About the 128 tokens that a small encoder reads.
FURTHER_SENTENCES = 3  # of a docstring after its first one: what comes later is asides, and from few long docstrings
MOST_DOCUMENTS = 8
FEWEST_QUERIES = 3
TWIN_COSINE = 0.95
GROUP_COSINE = 0.8


def extract() -> Extraction:
    """Takes documents, queries and judgements out of the installed packages.

    Raises:
        BadInput: a package is missing.
    """
    source = installed_versions("apidocs", PACKAGES)
    objects = [item for package in PACKAGES.values() for item in public_objects(package)]
    parsed = {item.names[0]: parse(item.docstring) for item in objects}
    described = {name: doc for name, doc in parsed.items() if doc.parameters and not doc.deprecated}
    documents = {name: _first_words(f"{name} {doc.parameters}") for name, doc in described.items()}
    sentences = [*_own_sentences(described), *_references(objects, described)]
    relevant = prune(close_over_twins(_merge(_without_boilerplate(sentences)), documents))
    judged = {name for names in relevant.values() for name in names}
    ids = _query_ids(relevant.values())
    groups = near_copies(list(relevant), GROUP_COSINE).tolist()
    return Extraction(
        documents=[(name, text) for name, text in documents.items() if name in judged],
        queries=dict(zip(ids, relevant, strict=True)),
        qrels={key: dict.fromkeys(names, 1) for key, names in zip(ids, relevant.values(), strict=True)},
        source=source,
        groups={key: ids[first] for key, first in zip(ids, groups, strict=True)},
    )


def close_over_twins(relevant: Mapping[str, Sequence[str]], documents: Mapping[str, str]) -> dict[str, list[str]]:
    """Makes each query relevant to the twins of its documents too.

    Twins are documents whose texts, names included, can hardly be told apart. A twin's twin is a twin.
    """
    twins: defaultdict[int, list[str]] = defaultdict(list)
    number = dict(zip(documents, near_copies(list(documents.values()), TWIN_COSINE).tolist(), strict=True))
    for name in documents:
        twins[number[name]].append(name)
    return {text: sorted({twin for name in names for twin in twins[number[name]]}) for text, names in relevant.items()}


def prune(relevant: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Drops the queries with too many documents, then the documents with too few queries, until none is left."""
    kept = {text: list(names) for text, names in relevant.items() if len(names) <= MOST_DOCUMENTS}
    while True:
        count = Counter(name for names in kept.values() for name in names)
        if not count or min(count.values()) >= FEWEST_QUERIES:
            return kept
        kept = {text: [name for name in names if count[name] >= FEWEST_QUERIES] for text, names in kept.items()}
        kept = {text: names for text, names in kept.items() if names}


def _first_words(text: str) -> str:
    return " ".join(text.split()[:DOCUMENT_WORDS])


def _own_sentences(docs: Mapping[str, Docstring]) -> Iterator[tuple[str, str]]:
    """Yields (sentence, name of the object that it describes) from each object's own docstring."""
    for name, doc in docs.items():
        for sentence in (doc.summary, *doc.prose[:FURTHER_SENTENCES]):
            if sentence:
                yield sentence, name


def _references(objects: Sequence[PublicObject], docs: Mapping[str, Docstring]) -> Iterator[tuple[str, str]]:
    """Yields (sentence, name of the object that it describes) from the See Also sections of all other objects."""
    known = {alias: item.names[0] for item in objects for alias in item.names}
    for item in objects:
        name = item.names[0]
        for written, sentence in docs[name].see_also if name in docs else ():
            target = _resolve(written, item.names, known)
            if target in docs and target != name:
                yield sentence, target


def _resolve(written: str, homes: Sequence[str], known: Mapping[str, str]) -> str:
    """Finds which object a docstring means by a name: the one that is nearest in the modules around its own names.

    Returns:
        The object's qualified name; empty when there is none.
    """
    for home in homes:
        scope = home
        while scope := scope.rpartition(".")[0]:
            if f"{scope}.{written}" in known:
                return known[f"{scope}.{written}"]
    return known.get(written, "")


def _without_boilerplate(sentences: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Drops the sentences that stand in many docstrings with nothing but the object's name exchanged."""
    templates = [_template(sentence, name) for sentence, name in sentences]
    used: defaultdict[str, set[str]] = defaultdict(set)
    for template, (_, name) in zip(templates, sentences, strict=True):
        used[template].add(name)
    return (pair for template, pair in zip(templates, sentences, strict=True) if len(used[template]) <= MOST_DOCUMENTS)


def _template(sentence: str, name: str) -> str:
    return re.sub(rf"(?<![\w.])[\w.]*\b{re.escape(name.rpartition('.')[2])}\b", "…", _bare(sentence))


def _merge(sentences: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Makes one query, worded as it first occurred, of the sentences that differ only in capitals and a final stop."""
    wording: dict[str, str] = {}
    relevant: defaultdict[str, list[str]] = defaultdict(list)
    for sentence, name in sentences:
        relevant[wording.setdefault(_bare(sentence), sentence)].append(name)
    return dict(relevant)


def _bare(sentence: str) -> str:
    return sentence.casefold().rstrip(".")


def _query_ids(documents: Iterable[Sequence[str]]) -> list[str]:
    """Names each query after the first of its documents, numbered from 1."""
    count: Counter[str] = Counter()
    ids = []
    for first, *_ in documents:
        count[first] += 1
        ids.append(f"{first}#{count[first]}")
    return ids
