"""What a report takes, as a process of its own: printed, never judged."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bench.names import BUCKETS, METRICS
from bench.record import Record, Results

DATASETS, METHODS, SEEDS, QUERIES, POOL = 40, 25, 10, 500, 2_500
EMBEDDED = Path(__file__).parents[2] / "results" / "embedded"
REPORT = """
import re, sys, time
from pathlib import Path
from bench.cli import main
main(["report", sys.argv[1]], standalone_mode=False)
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(time.process_time(), int(peak) / 1e3, file=sys.stderr)
"""


def write_cell(results: Results, dataset: int, method: int, seed: int) -> None:
    """Writes an invented cell; the queries of a data set and seed are the same for all methods."""
    shared = np.random.default_rng([dataset, seed])
    drawn = shared.choice(POOL, QUERIES, replace=False)
    nearest = np.where(shared.random(QUERIES) < 0.6, shared.uniform(0.3, 1.0, QUERIES), np.nan)
    own = np.random.default_rng([dataset, seed, method])
    scores = {
        metric: np.clip(0.4 + 0.01 * method + 0.2 * shared.normal(size=QUERIES) + 0.1 * own.normal(size=QUERIES), 0, 1)
        for metric in METRICS
    }
    about = {"query_id": [f"q{query}" for query in drawn], "cluster": [f"d{query // 3}" for query in drawn]}
    seen = ~np.isnan(nearest)
    queries = pd.DataFrame({**about, "seen": seen, "seen_fraction": seen.astype(float), "nearest": nearest, **scores})
    means = {metric: float(queries[metric].mean()) for metric in METRICS}
    subset = {"queries": QUERIES // 2, **means}
    name = "none" if method == 0 else f"method-{method}"
    record = Record(
        dataset=f"data-{dataset}",
        encoder="minilm",
        method=name,
        seed=seed,
        status="ok",
        metrics={**means, "seen": subset, "unseen": subset, "nearest": dict.fromkeys(BUCKETS, subset)},
        seconds={"fit": 1.0, "search": 0.1},
        fit_seconds=1.0,
        counts={"documents": 5_000, "train_queries": 1_750, "dev_queries": 250, "test_queries": QUERIES},
        curves={"loss": [1.0] * 100},
        identity={
            "schema": 1,
            "dataset": f"data-{dataset}",
            "fingerprint": "0" * 64,
            "split": "random",
            "limit": None,
            "encoder": "minilm",
            "encoder_revision": "r1",
            "encoder_settings": "dtype float32",
            "method": name,
            "method_version": 1,
            "hyperparameters": {"name": name, "version": 1},
            "seed": seed,
            "accelerator": "cpu",
            "threads": 2,
        },
    )
    results.write(record, queries)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for dataset in range(DATASETS):
        for method in range(METHODS):
            for seed in range(SEEDS):
                write_cell(Results(tmp_path), dataset, method, seed)
    return tmp_path


@pytest.fixture
def embedded(tmp_path: Path) -> Path:
    return shutil.copytree(EMBEDDED, tmp_path / "embedded")


def report(folder: Path) -> tuple[float, float, float]:
    """Seconds and seconds of CPU, imports and all, and megabytes."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", REPORT, str(folder)], capture_output=True, text=True, check=True)
    cpu, megabytes = map(float, done.stderr.split())
    return time.perf_counter() - began, cpu, megabytes


@pytest.mark.parametrize(("name", "rounds"), [("many", 2), ("embedded", 5)])
def test_report(benchmark: Callable[..., Any], request: pytest.FixtureRequest, name: str, rounds: int) -> None:
    folder = request.getfixturevalue(name)
    taken: list[tuple[float, float, float]] = []
    benchmark.pedantic(lambda: taken.append(report(folder)), rounds=rounds)  # type: ignore[attr-defined]
    records = len(list((folder / "records").iterdir()))
    scores = sum(pq.read_metadata(path).num_rows for path in (folder / "per_query").iterdir())
    seconds, cpu, megabytes = map(min, zip(*taken, strict=True))
    print(
        f"\nREPORT {name}: {records:,} records, {scores:,} per-query scores: {seconds:.1f} s ({cpu:.1f} s of CPU), "
        f"{megabytes:.0f} MB"
    )
