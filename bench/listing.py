"""What can be named on the command line and in suites, as rows of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.data.catalogue import CATALOGUE as DATASETS
from bench.data.catalogue import FOLDER
from bench.embed.encoders import CATALOGUE as ENCODERS
from bench.embed.encoders import SENTENCE_TRANSFORMER
from bench.spec import read_suite, suite_names
from methods import load_method, method_names, written

Rows = list[dict[str, str]]


def methods() -> Rows:
    """Every registered method with its hyperparameters; one that cannot be imported with the reason."""
    return [_method(name, "" if point is None else point.value) for name, point in method_names().items()]


def datasets() -> Rows:
    """The data catalogue."""
    rows = [{"name": name, "licence": entry.licence, "about": entry.about} for name, entry in DATASETS.items()]
    return [
        *rows,
        {
            "name": f"{FOLDER}PATH",
            "licence": "yours",
            "about": "a BEIR folder: corpus.jsonl, queries.jsonl, qrels/*.tsv",
        },
    ]


def encoders() -> Rows:
    """The encoder catalogue."""
    rows = [{"name": name, "licence": entry.licence, "about": entry.about} for name, entry in ENCODERS.items()]
    return [
        *rows,
        {
            "name": f"{SENTENCE_TRANSFORMER}ID_OR_FOLDER",
            "licence": "its own",
            "about": "any sentence-transformers model",
        },
    ]


def suites() -> Rows:
    """The suites that come along."""
    return [{"name": name, "about": read_suite(name).about} for name in suite_names()]


LISTS: Mapping[str, Callable[[], Rows]] = {
    "methods": methods,
    "datasets": datasets,
    "encoders": encoders,
    "suites": suites,
}


def _method(name: str, origin: str) -> dict[str, str]:
    row = {"name": name, "from": origin or "tunebench"}
    try:
        method = load_method(name)
    except ImportError as error:
        return {**row, "version": "", "settings": "", "about": f"not available: {error}"}
    settings = ", ".join(f"{key}={written(value)}" for key, value in vars(method()).items())
    about = (method.__doc__ or "").strip().splitlines()[0]
    return {**row, "version": str(method.version), "settings": settings, "about": about}
