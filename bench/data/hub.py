"""Data sets on the Hugging Face Hub in the form of the NUDGE paper's own (arXiv 2409.02343): split by their authors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.dataset import Extraction
from bench.data.folder import write_folder
from bench.data.qrels import SPLITS
from bench.errors import BadInput

if TYPE_CHECKING:
    from datasets import Dataset as Table

COLUMNS = {"data_records": ("record_id", "text"), "qs": ("q_id", "input"), "qs_rel": ("q_id", "record_id", "rel")}


@dataclass(frozen=True)
class Hub:
    """Where a data set comes from: a repository with the configurations data_records, qs and qs_rel.

    Attributes:
        repository: on the Hub, or a folder of the same form.
        revision: a branch, tag or commit.
    """

    repository: str
    revision: str = "main"

    def key(self, name: str) -> str:  # noqa: ARG002 — whatever it is called
        """Differs when the repository or the revision does."""
        return f"{Path(self.repository).name}-{self.revision}"

    def write(self, name: str, folder: Path) -> None:
        """Loads it and keeps the authors' split.

        Raises:
            BadInput: when the repository cannot be reached, or has another form.
        """
        documents = self._table(name, "data_records", "train")
        queries: dict[str, str] = {}
        qrels: dict[str, dict[str, int]] = {}
        split_of: dict[str, str] = {}
        for split in SPLITS:
            asked = self._table(name, "qs", split)
            ids = [_query_id(number) for number in asked["q_id"]]
            queries |= dict(zip(ids, asked["input"], strict=True))
            split_of |= dict.fromkeys(ids, split)
            judged = self._table(name, "qs_rel", split)
            for query, document, grade in zip(judged["q_id"], judged["record_id"], judged["rel"], strict=True):
                qrels.setdefault(_query_id(query), {})[str(document)] = int(grade)
        extraction = Extraction(
            documents=zip(map(str, documents["record_id"]), documents["text"], strict=True),
            queries=queries,
            qrels=qrels,
            source={self.repository: self.revision},
            split_of=split_of,
        )
        write_folder(folder, extraction)

    def _table(self, name: str, configuration: str, split: str) -> Mapping[str, Table]:
        """The columns of one split of one configuration."""
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError

        where = f"{name}: {configuration}, {split}, of {self.repository}"
        try:
            table = load_dataset(self.repository, configuration, split=split, revision=self.revision)
        except (OSError, ValueError, DatasetsError) as error:
            reason = " ".join(str(error).split())
            raise BadInput(f"{where} cannot be loaded ({reason}); with a network it is kept under HF_HOME") from None
        missing = [column for column in COLUMNS[configuration] if column not in table.column_names]
        if missing:
            raise BadInput(f"{where} has no column {missing[0]!r}; it has {', '.join(table.column_names)}")
        return {column: table[column] for column in COLUMNS[configuration]}


def _query_id(number: object) -> str:
    """Queries and documents are numbered alike, and a query with a document's id would count as that document."""
    return f"query-{number}"
