"""The rows of a table that somebody has: CSV, JSON lines, Parquet, or a folder of Hugging Face `datasets`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.data.faults import Faults
from bench.data.items import numbered_lines
from bench.data.qrels import SPLITS
from bench.errors import BadInput, one_line

if TYPE_CHECKING:
    from datasets import Dataset as Table

LONGEST = 2**31 - 1  # characters of a field: csv's own limit is less than a long document has
SPLIT_NAMES = {**{name: name for name in SPLITS}, "validation": "dev", "valid": "dev", "val": "dev"}


class Row(NamedTuple):
    """A row: where it stands, its values by column, and the split that it belongs to, if it says so."""

    place: str
    values: Mapping[str, Any]
    split: str = ""


def read_rows(path: Path) -> Iterator[Row]:
    """Reads a table, row by row.

    Raises:
        BadInput: when it is missing, of another kind than these, or not what its name says.
    """
    if path.is_dir():
        return _of_datasets(path)
    if not path.exists():
        raise BadInput(f"{path}: missing; pass a .csv, .tsv, .jsonl or .parquet file, or a folder")
    if path.suffix.lower() not in READERS:
        raise BadInput(f"{path}: not a {', '.join(READERS)} file, nor a folder; convert it to one of them")
    return READERS[path.suffix.lower()](path)


def _of_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(LONGEST)
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            header = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=max(",;\t|", key=header.count), strict=True)
            for values in reader:
                place = f"line {reader.line_num}"
                if None in values or None in values.values():
                    problem = f"not {len(reader.fieldnames or ())} columns as in the header"
                    raise BadInput(f"{path}, {place}: {problem}; put quotes around what holds the separator")
                yield Row(place, values)
        except UnicodeDecodeError as error:
            byte = f"{error.object[error.start]:#04x}"
            raise BadInput(f"{path}: byte {byte} is not UTF-8; convert the file") from None
        except csv.Error as error:
            raise BadInput(f"{path}, line {reader.line_num}: not valid CSV ({error}); mend that line") from None


def _of_json_lines(path: Path) -> Iterator[Row]:
    faults = Faults(path)
    for number, _, _, line in numbered_lines(path, (), faults):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            problem = f"not valid JSON ({error.msg} at column {error.colno})"
            raise BadInput(f"{path}, line {number}: {problem}; mend or delete the line") from None
        if not isinstance(values, dict):
            raise BadInput(f"{path}, line {number}: not a JSON object; write one a line, with a key for each column")
        yield Row(f"line {number}", values)
    faults.check()


def _of_parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for values in batch.to_pylist():
                    number += 1
                    yield Row(f"row {number}", values)
    except (OSError, pa.ArrowException) as error:
        raise BadInput(f"{path}: not a Parquet file that can be read ({one_line(error)})") from None


def _of_datasets(path: Path) -> Iterator[Row]:
    """What `save_to_disk` has written, or data files as a repository of the Hub has them."""
    from datasets import DatasetDict, disable_progress_bars, load_dataset, load_from_disk

    disable_progress_bars()
    saved = any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))
    try:
        loaded = load_from_disk(str(path)) if saved else load_dataset(str(path))
    except Exception as error:  # noqa: BLE001 — errors of many packages
        problem = f"neither a BEIR folder nor one of Hugging Face datasets ({one_line(error)})"
        raise BadInput(f"{path}: {problem}; write corpus.jsonl, queries.jsonl and qrels/, or pass a file") from None
    tables: Mapping[str, Table] = loaded if isinstance(loaded, DatasetDict) else {"": loaded}
    for name, table in tables.items():
        for number, values in enumerate(table, 1):
            yield Row(f"{name or 'row'}{' row' if name else ''} {number}", values, SPLIT_NAMES.get(name, ""))


READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _of_csv,
    ".tsv": _of_csv,
    ".jsonl": _of_json_lines,
    ".parquet": _of_parquet,
}
