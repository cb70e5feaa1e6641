"""Retrieval tasks of mteb, text or pictures on either side, at the revisions that mteb pins."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.counts import Counts
from bench.data.dataset import Content, Extraction
from bench.data.folder import write_folder
from bench.errors import BadInput
from methods import nearest_name

if TYPE_CHECKING:
    from datasets import Dataset as Table
    from mteb.abstasks import AbsTaskRetrieval

MTEB = "mteb/"
CATEGORIES = ("t2t", "t2i", "i2t", "i2i")  # mteb's: what asks and what is found, a text or an image
SPLIT_NAMES = {"validation": "dev"}
FORMAT = 1  # raised whenever what is written changes
KEPT_AS_THEY_ARE = (b"\x89PNG", b"\xff\xd8\xff")  # PNG and JPEG


@dataclass(frozen=True)
class MtebTask:
    """Where a data set comes from: a task of mteb, or one subset of it.

    Attributes:
        task: its name.
        subset: one of its `hf_subsets`; may be empty when there is only one.
    """

    task: str
    subset: str = ""

    @classmethod
    def named(cls, name: str) -> MtebTask:
        """Reads `mteb/TASK` or `mteb/TASK/SUBSET`."""
        task, _, subset = name.removeprefix(MTEB).partition("/")
        return cls(task, subset)

    @property
    def about(self) -> str:
        """The first sentence of its description."""
        return re.split(r"(?<=[.!?])\s", self.theirs.metadata.description.strip())[0].rstrip(".")

    @property
    def licence(self) -> str:
        """Of the data, as mteb gives it."""
        licence = self.theirs.metadata.license
        return "not stated" if licence in {None, "not specified"} else str(licence)

    @property
    def pictures(self) -> bool:
        """Whether a query or a document is one."""
        return "i" in self._category

    @property
    def languages(self) -> list[str]:
        """As mteb writes them: eng-Latn."""
        return list(self.theirs.metadata.hf_subsets_to_langscripts[self.hf_subset])

    @property
    def hf_subset(self) -> str:
        """The subset's name."""
        return str(self.theirs.hf_subsets[0])

    @property
    def revision(self) -> str:
        """Of the repository on the Hub."""
        return str(self.theirs.metadata.dataset["revision"])

    @property
    def citation(self) -> str:
        """The key of its BibTeX entry in mteb."""
        found = re.search(r"@\w+{\s*([^,\s]+)", self.theirs.metadata.bibtex_citation or "")
        return "not stated" if found is None else found[1]

    @property
    def splits(self) -> str:
        """Those that mteb has."""
        return ", ".join(SPLIT_NAMES.get(split, split) for split in self.theirs.eval_splits)

    @property
    def counts(self) -> Counts:
        """As mteb has counted, or nothing where it has not; not exact, since `write` checks each split."""
        told = self.counts_by_split.values()
        if len(told) < len(self.theirs.eval_splits):
            return Counts(exact=False)
        documents = max(counts.documents or 0 for counts in told)
        queries, judgements = (sum(vars(counts)[what] for counts in told) for what in ("queries", "judgements"))
        return Counts(documents, queries, judgements, exact=False)

    @property
    def counts_by_split(self) -> dict[str, Counts]:
        """What mteb has counted; judgements are those that are not 0."""
        found = {}
        for split in self.theirs.eval_splits:
            told: Mapping[str, Any] = (self.theirs.metadata.descriptive_stats or {}).get(split, {})
            if self.theirs.metadata.is_multilingual:
                told = told.get("hf_subset_descriptive_stats", {}).get(self.hf_subset, {})
            if told.get("num_documents") is not None:
                judgements = told["relevant_docs_statistics"]["num_relevant_docs"]
                found[split] = Counts(told["num_documents"], told["num_queries"], judgements)
        return found

    @cached_property
    def theirs(self) -> AbsTaskRetrieval:
        """The task as mteb has it, without its data.

        Raises:
            UnknownName: when mteb has no task of that name.
            BadInput: when mteb is not installed, or the task or the subset is none that can be opened.
        """
        try:
            import mteb
        except ImportError:
            raise BadInput(f"{MTEB}{self.task}: the package mteb is missing; pip install 'tunebench[mteb]'") from None
        from mteb.abstasks import AbsTaskRetrieval

        try:
            task = mteb.get_task(self.task)
        except KeyError:
            raise nearest_name("task of mteb", self.task, _retrieval_names()) from None
        about = task.metadata
        if not isinstance(task, AbsTaskRetrieval) or "Reranking" in about.type or about.category not in CATEGORIES:
            what = f"of the type {about.type}, category {about.category}"
            raise BadInput(f"{MTEB}{self.task}: {what}; it must be Retrieval of texts or images by texts or images")
        if task.skip_first_result:
            raise BadInput(f"{MTEB}{self.task}: mteb drops the first result of each query, which cannot be done here")
        subset = self.subset or about.hf_subsets[0]
        if subset not in about.hf_subsets or (not self.subset and len(about.hf_subsets) > 1):
            wrong = f"no subset {subset!r}" if self.subset else "several subsets"
            known = ", ".join(about.hf_subsets)
            raise BadInput(f"{MTEB}{self.task}: {wrong}; write {MTEB}{self.task}/SUBSET with one of: {known}")
        return task.filter_languages(None, hf_subsets=[subset])

    def key(self, name: str) -> str:  # noqa: ARG002 — whatever it is called
        """Differs when the repository, its revision or the task's splits do."""
        made_from = [FORMAT, self.theirs.metadata.dataset, self.hf_subset, list(self.theirs.eval_splits)]
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]

    def write(self, name: str, folder: Path) -> None:
        """Has mteb load it, and keeps mteb's splits.

        Raises:
            BadInput: when its repository cannot be reached, or holds other than mteb says or can be written.
        """
        loaded = self._loaded(name)
        asks, found = self._category.split("2")
        queries: dict[str, Content] = {}
        qrels: dict[str, dict[str, int]] = {}
        split_of: dict[str, str] = {}
        for split, data in loaded.items():
            for key, content in contents(name, data["queries"], asks):
                query = self._query_id(split, key)
                if query in queries:
                    raise BadInput(f"{name}: two queries have the id {key!r}, which cannot be told apart")
                queries[query], split_of[query] = content, SPLIT_NAMES.get(split, split)
                judged = data["relevant_docs"].get(key, {})
                # What a query can never retrieve is left out; mteb counts it as missed.
                qrels[query] = {str(own): int(grade) for own, grade in judged.items() if own != query}
        corpora = (contents(name, data["corpus"], found) for data in loaded.values())
        source = {self.theirs.metadata.dataset["path"]: self.revision}
        write_folder(folder, Extraction(_united(name, corpora), queries, qrels, source, split_of=split_of))

    @property
    def _category(self) -> str:
        return str(self.theirs.metadata.category)

    def _query_id(self, split: str, key: str) -> str:
        """A query never retrieves the document with its id, so it has one of its own where mteb lets it do so."""
        return key if self.theirs.ignore_identical_ids else f"{split}:{key}"

    def _loaded(self, name: str) -> dict[str, Mapping[str, Any]]:
        """Split to queries, corpus and judgements, by mteb's own loader."""
        task = self.theirs
        try:
            task.load_data()
            task.convert_v1_dataset_format_to_v2(num_proc=None)
            loaded: dict[str, Mapping[str, Any]] = {s: task.dataset[self.hf_subset][s] for s in task.eval_splits}
        except Exception as error:  # noqa: BLE001 — tasks load in ways of their own, and fail so
            reason = " ".join(str(error).split())
            what = f"{task.metadata.dataset['path']} at revision {self.revision}"
            raise BadInput(f"{name}: cannot load {what} ({reason}); with a network it is kept under HF_HOME") from None
        for split, due in self.counts_by_split.items():
            grades = [grade for own in loaded[split]["relevant_docs"].values() for grade in own.values()]
            have = Counts(len(loaded[split]["corpus"]), len(loaded[split]["queries"]), len(grades) - grades.count(0))
            for what, number in vars(have).items():
                if number != vars(due)[what]:
                    wrong = f"{number:,} {what} in {split} instead of {vars(due)[what]:,}"
                    raise BadInput(f"{name}: {wrong}; fetch it anew to HF_HOME")
        return loaded


def _retrieval_names() -> list[str]:
    """Of the tasks that can be opened."""
    import mteb
    from mteb.abstasks import AbsTaskRetrieval

    found = (task for task in mteb.get_tasks(exclude_superseded=False) if isinstance(task, AbsTaskRetrieval))
    return [task.metadata.name for task in found if task.metadata.category in CATEGORIES]


def contents(name: str, table: Table, kind: str) -> Iterator[tuple[str, Content]]:
    """Yields (id, content) of each row, which is a text (kind t) or an image (i)."""
    from datasets import Image

    if kind == "i":
        encoded = table.select_columns(["id", "image"]).cast_column("image", Image(decode=False))
        yield from ((str(row["id"]), _image_file(row["image"])) for row in encoded)
        return
    for row in table:
        if not isinstance(row["text"], str):
            raise BadInput(f"{name}: {row['id']!r} is a {type(row['text']).__name__} instead of a text")
        yield str(row["id"]), " ".join(filter(None, (row.get("title"), row["text"], row.get("instruction"))))


def _image_file(image: Mapping[str, Any]) -> bytes:
    """PNG and JPEG stay as they are, because what Pillow would write depends on its version; others become PNG."""
    from PIL import Image

    content: bytes = image["bytes"] or Path(image["path"]).read_bytes()
    if content.startswith(KEPT_AS_THEY_ARE):
        return content
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").save(file, "PNG")
    return file.getvalue()


def _united(name: str, corpora: Iterable[Iterable[tuple[str, Content]]]) -> Iterator[tuple[str, Content]]:
    """The documents of all splits, each once.

    Raises:
        BadInput: when two of them have one id.
    """
    known: dict[str, int] = {}
    for corpus in corpora:
        for key, content in corpus:
            if key not in known:
                known[key] = hash(content)
                yield key, content
            elif known[key] != hash(content):
                raise BadInput(f"{name}: two documents have the id {key!r}, which cannot be told apart")
