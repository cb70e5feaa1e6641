"""The card of what was exported: where it comes from, how good it is, and how it is searched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from shlex import quote

from bench.data.catalogue import FOLDER, entry
from bench.embed.encoders import CATALOGUE
from bench.names import BASELINE, MAIN
from bench.record import Record, Results
from bench.report.entrants import Setting
from bench.ship.artefact import Artefact
from bench.words import plural

DRIFT = 0.002  # of NDCG@10 between a cell and its method fitted again: what is more is said
ABOUT = {
    "index.faiss": "an exact index by dot product, `faiss.read_index`; its numbers are places in `ids.json`",
    "documents.npy": "(n, d) float32, a row a document in the order of `ids.json`; compare by dot product",
    "documents.parquet": "columns `id` and `vector`; compare by dot product",
    "ids.json": "the documents' ids, in order",
    "query_map.py": "`query_map(vectors)`: what the encoder's query vectors go through first; needs numpy alone",
    "query_map.npz": "its weights",
    "encoder": "the encoder of documents and queries, trained",
    "model": "the model of sentence-transformers: `encode_query` gives what is compared with the documents",
}


@dataclass(frozen=True)
class Measured:
    """NDCG@10 on the cell's test queries: of what was exported, and as the cell's record has it."""

    now: float
    recorded: float

    @property
    def drifted(self) -> bool:
        """Whether what was exported, because it was fitted again or updated, is not what the record tells of."""
        return abs(self.now - self.recorded) > DRIFT


def card(artefact: Artefact, measured: Measured, files: Iterable[str], command: str, patch: int | None) -> str:
    """The card, in Markdown; `patch` is by how many coordinates the documents of a patch are longer than others."""
    record, problem = artefact.named.record, artefact.problem
    facts = {
        "data": f"{record.dataset}, {problem.corpus.n:,} documents, fingerprint {record.identity['fingerprint']}",
        "encoder": f"{record.encoder}, {record.identity['encoder_settings']}",
        "method": f"{record.method}, version {record.identity['method_version']}",
        "chosen by itself": ", ".join(f"{name} {value}" for name, value in artefact.tuned.chosen.items()) or "nothing",
        "fitted on": f"{len(problem.train):,} train and {len(problem.dev):,} dev queries, seed {record.seed}",
        "quality": _quality(artefact, measured),
        "licence": f"of the data: {_licence(record)[0]}; of the encoder: {_licence(record)[1]}",
        "made by": f"tunebench {version('tunebench')}: `{_run(record)}`, then `{command}`",
    }
    lines = [f"# {record.method} on {record.dataset}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in facts.items()]
    lines += ["", "## Files", "", *(f"- `{name}`: {ABOUT[name]}" for name in ABOUT if name in set(files))]
    if patch is not None:
        zeros = f", with {plural(patch, 'zero')} at the end" if patch else ""
        lines += ["", f"A patch: all other documents stay where the encoder puts them, at unit length{zeros}."]
    return "\n".join([*lines, ""])


def _quality(artefact: Artefact, measured: Measured) -> str:
    record = artefact.named.record
    queries = f"on {len(artefact.test):,} test queries"
    base = _baseline(artefact)
    against = "" if base is None else f"; {BASELINE}: {base:.4f}"
    drift = f" (the cell's record: {measured.recorded:.4f})" if measured.drifted else ""
    others = ", ".join(
        f"{name} {record.metrics[name]:.4f}" for name in ("recall@10", "recall@100", "mrr@10") if name in record.metrics
    )
    more = "" if measured.drifted or not others else f"; {others}"
    return f"NDCG@10 {measured.now:.4f}{drift} {queries}{against}{more}"


def _baseline(artefact: Artefact) -> float | None:
    """NDCG@10 of `none` on the same test queries, where the results folder has it."""
    named = artefact.named
    if named.results is None:
        return None
    for other in Results(named.results).records():
        same = Setting.of(other) == Setting.of(named.record) and other.seed == named.record.seed
        if same and other.method == BASELINE and other.status == "ok":
            return float(str(other.metrics[MAIN]))
    return None


def _licence(record: Record) -> tuple[str, str]:
    data = "yours" if record.dataset.startswith(FOLDER) else entry(record.dataset).licence
    return data, CATALOGUE[record.encoder].licence if record.encoder in CATALOGUE else "its own"


def _run(record: Record) -> str:
    asked = {
        "--datasets": record.dataset,
        "--encoder": record.encoder,
        "--methods": record.method,
        "--seeds": str(record.seed),
        "--split": record.identity["split"],
    }
    if record.identity["limit"] is not None:
        asked["--limit"] = str(record.identity["limit"])
    return f"tunebench run {' '.join(f'{option} {quote(value)}' for option, value in asked.items())} --keep"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
