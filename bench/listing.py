"""What can be named on the command line and in suites, as rows of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.data.catalogue import FOLDER, dataset_names, dataset_origins
from bench.data.catalogue import entry as dataset_entry
from bench.data.counts import Counts
from bench.data.mteb_tasks import MTEB
from bench.embed.encoders import CATALOGUE as ENCODERS
from bench.embed.encoders import SENTENCE_TRANSFORMER
from bench.spec import read_suite, suite_names
from methods import Choice, Range, load_method, method_names, written

Rows = list[dict[str, str]]


def methods() -> Rows:
    """Every registered method with its hyperparameters; one that cannot be imported with the reason."""
    return [_method(name, "" if point is None else point.value) for name, point in method_names().items()]


def datasets() -> Rows:
    """The data catalogue, any task of mteb, and any folder; what was opened before is cached."""
    rows = [_dataset(name) for name in dataset_names()]
    tasks = _row(
        f"{MTEB}TASK", "its own", "any retrieval task of mteb, text or image; TASK/SUBSET where it has several"
    )
    yours = _row(f"{FOLDER}PATH", "yours", "a BEIR folder: corpus.jsonl, queries.jsonl, qrels/*.tsv")
    return [*rows, *({**dict.fromkeys(rows[0], ""), **row} for row in (tasks, yours))]


def encoders() -> Rows:
    """The encoder catalogue, and any sentence-transformers model."""
    return [
        *(_row(name, entry.licence, entry.about) for name, entry in ENCODERS.items()),
        _row(f"{SENTENCE_TRANSFORMER}ID_OR_FOLDER", "its own", "any sentence-transformers model"),
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


def _dataset(name: str) -> dict[str, str]:
    entry, origin = dataset_entry(name), dataset_origins([name]).get(name, "tunebench")
    return {
        **_row(name, entry.licence, entry.about),
        "from": origin,
        "citation": entry.citation,
        **{what: _count(entry.counts, what) for what in ("documents", "queries", "judgements")},
        "splits": entry.splits,
        "MB": "" if entry.megabytes is None else f"{entry.megabytes:,}",
        "cached": "yes" if entry.is_cached(name) else "",
    }


def _count(counts: Counts, what: str) -> str:
    number: int | None = vars(counts)[what]
    return "" if number is None else f"{'' if counts.exact else 'about '}{number:,}"


def _row(name: str, licence: str, about: str) -> dict[str, str]:
    return {"name": name, "licence": licence, "about": about}


def _method(name: str, origin: str) -> dict[str, str]:
    row = {"name": name, "from": origin or "tunebench"}
    try:
        method = load_method(name)
    except ImportError as error:
        return {**row, "version": "", "settings": "", "space": "", "about": f"not available: {error}"}
    settings = ", ".join(f"{key}={written(value)}" for key, value in vars(method()).items())
    space = ", ".join(f"{key}={_space(part)}" for key, part in method.space.items())
    about = (method.__doc__ or "").strip().splitlines()[0]
    described = {"settings": settings, "space": space, "about": about}
    return {**row, "version": str(method.version), **described}


def _space(part: Range | Choice) -> str:
    """What is tried of one hyperparameter: 5.0–50.0, unit|sum."""
    if isinstance(part, Choice):
        return "|".join(map(written, part.values))
    return f"{part.low}–{part.high}{' (log)' if part.log else ''}"
