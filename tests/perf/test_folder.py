"""Reading a BEIR folder of 1,000,000 documents, against beir's own loader; each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

N, ASKED = 1_000_000, 100_000
MEASURED = """
import re, sys, time
from pathlib import Path
{imported}
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1e3
before, began = peak(), time.perf_counter()
read = {read}
print(time.perf_counter() - began, peak() - before)
"""
OURS = MEASURED.format(
    imported="from bench.data.folder import read_folder",
    read="read_folder(Path(sys.argv[1])); assert read.documents[-1]",
)
BEIRS = MEASURED.format(
    imported="from beir.datasets.data_loader import GenericDataLoader",
    read="GenericDataLoader(sys.argv[1]).load('test')",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of 70 words and a title, a tenth as many queries, one judgement each."""
    random = np.random.default_rng(0)
    words = np.array(["".join(random.choice(list("abcdefghijklmnop"), 6)) for _ in range(5000)])
    folder = tmp_path_factory.mktemp("million")
    (folder / "qrels").mkdir()
    with (folder / "corpus.jsonl").open("w") as file:
        for number in range(N):
            row = {"_id": f"d{number}", "title": words[number % 5000], "text": " ".join(random.choice(words, 70))}
            file.write(json.dumps(row) + "\n")
    with (folder / "queries.jsonl").open("w") as file:
        file.writelines(
            json.dumps({"_id": f"q{number}", "text": words[number % 5000]}) + "\n" for number in range(ASKED)
        )
    with (folder / "qrels" / "test.tsv").open("w") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        file.writelines(f"q{number}\td{random.integers(N)}\t1\n" for number in range(ASKED))
    return folder


def measure(code: str, folder: Path) -> tuple[float, float]:
    """Seconds, and megabytes beyond those of the imports."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes


def test_a_folder_of_a_million(benchmark: Any, folder: Path) -> None:
    seconds, megabytes = benchmark.pedantic(lambda: measure(OURS, folder), rounds=1)
    theirs, most = measure(BEIRS, folder)
    print(
        f"\nLOAD {N:,} documents: {seconds:.1f} s, {megabytes:.0f} MB, checked and fingerprinted "
        f"(beir's loader: {theirs:.1f} s, {most:.0f} MB)"
    )
