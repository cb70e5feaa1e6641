"""What a report over many records takes: printed, never judged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.names import BUCKETS, METRICS
from bench.record import Record, Results

DATASETS, METHODS, SEEDS, QUERIES, POOL = 20, 10, 10, 500, 2_500


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for dataset in range(DATASETS):
        for method in range(METHODS):
            for seed in range(SEEDS):
                write_cell(Results(folder), dataset, method, seed)
    return folder


def test_report_over_many_records(
    benchmark: Callable[..., Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: list[float] = []

    def report() -> str:
        began = time.perf_counter()
        result = CliRunner().invoke(main, ["report", str(folder), "--json"])
        taken.append(time.perf_counter() - began)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    printed = benchmark.pedantic(report, rounds=2, warmup_rounds=1)  # type: ignore[attr-defined]
    assert len(json.loads(printed)["rows"]) == DATASETS * METHODS
    with capsys.disabled():
        records, lowest = DATASETS * METHODS * SEEDS, min(taken)
        print(f"\nreport over {records:,} records of {QUERIES} queries: {lowest:.1f} s")
