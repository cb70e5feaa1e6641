"""Results folders made of invented cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from bench.record import Record, Results

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

METRICS = (
    *("ndcg@10", "recall@1", "recall@10", "recall@100", "mrr@10", "map@100"),
    *("recall_capped@10", "recall_capped@1"),
)
BUCKETS = ("unseen", "<.6", ".6-.8", ".8-.9", ">.9")
SETTING = {
    "dataset": "icon-names",
    "fingerprint": "0123456789abcdef",
    "split": "random",
    "limit": None,
    "encoder": "minilm",
    "encoder_revision": "r1",
    "encoder_settings": "dtype float32",
    "accelerator": "cpu",
    "threads": 2,
}


@dataclass(frozen=True)
class Cells:
    """Adds cells to a results folder; a method's scores are the query's difficulty, its `level`, and some noise."""

    folder: Path

    def add(self, method: str, seed: int, level: float = 0.0, *, noise: float = 0.02, **identity: Any) -> Record:
        queries = self.queries(seed, level, noise)
        record = self.record(method, seed, identity, status="ok", metrics=_metrics(queries), fit_seconds=1.5 + seed)
        Results(self.folder).write(record, queries)
        return record

    def add_seeds(self, method: str, seeds: Iterable[int], level: float = 0.0, **identity: Any) -> list[Record]:
        return [self.add(method, seed, level, **identity) for seed in seeds]

    def lose(self, method: str, seed: int, reason: str, status: str = "failed", **identity: Any) -> None:
        Results(self.folder).write(self.record(method, seed, identity, status=status, reason=reason), None)

    @staticmethod
    def queries(seed: int, level: float, noise: float) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        drawn = rng.choice(300, 100, replace=False)
        nearest = np.where(rng.random(100) < 0.6, rng.uniform(0.3, 1.0, 100), np.nan)
        difficulty = np.random.default_rng(99).uniform(0.3, 0.5, 300)[drawn]
        # Drawn anew for every level, so that two methods differ; alike for the same level, so that two can tie.
        jitter = np.random.default_rng([seed, int(1e6 * (1 + level))]).normal(0, noise, (len(METRICS), 100))
        scores = dict(zip(METRICS, np.clip(difficulty + level + jitter, 0, 1), strict=True))
        ids = {"query_id": [f"q{q}" for q in drawn], "cluster": [f"d{q // 3}" for q in drawn]}
        seen = ~np.isnan(nearest)
        told = {"seen": seen, "seen_fraction": seen.astype(float), "nearest": nearest}
        return pd.DataFrame({**ids, **told, "wording": np.where(seen, nearest, 0.2), **scores})

    @staticmethod
    def record(method: str, seed: int, identity: dict[str, Any], **outcome: Any) -> Record:
        defaults = {"schema": 1, "hyperparameters": {}, "method_version": 1}
        identity = {**SETTING, **defaults, "method": method, "seed": seed, **identity}
        return Record(
            dataset=identity["dataset"],
            encoder=identity["encoder"],
            method=method,
            seed=seed,
            counts={"train_queries": 1050, "dev_queries": 150, "test_queries": 100, "documents": 1903},
            identity=identity,
            **outcome,
        )


def _metrics(queries: pd.DataFrame) -> dict[str, Any]:
    def means(chosen: pd.Series[bool]) -> dict[str, float]:
        scores = {metric: float(queries.loc[chosen, metric].mean()) for metric in METRICS} if chosen.any() else {}
        return {"queries": int(chosen.sum()), **scores}

    bucket = queries["nearest"].map(lambda cosine: BUCKETS[1 + int(np.digitize(cosine, [0.6, 0.8, 0.9]))])
    bucket = bucket.where(queries["seen"], "unseen")
    return {
        **{metric: float(queries[metric].mean()) for metric in METRICS},
        "seen": means(queries["seen"]),
        "unseen": means(~queries["seen"]),
        "nearest": {name: means(bucket == name) for name in BUCKETS},
    }


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    return Cells(tmp_path / "results")
