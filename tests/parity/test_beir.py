"""The same folder and the same run through beir's own loader and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from beir.datasets.data_loader import GenericDataLoader
from beir.retrieval.evaluation import EvaluateRetrieval

from bench.data.dataset import Dataset
from bench.data.folder import read_folder
from bench.score import score
from methods import Corpus, top_k


@pytest.fixture(scope="module", params=["test", "train, dev and test"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, write_beir: Any) -> Path:
    """80 documents and 60 queries, half of which are documents themselves; grades from -1 to 3."""
    random = np.random.default_rng(5)
    documents: dict[str, dict[str, object]] = {
        f"x{number}": {"title": f"Title {number}" if number % 3 else "", "text": f"text “{number}” ü\tß"}
        for number in range(80)
    }
    for number in range(0, 80, 5):
        del documents[f"x{number}"]["title"]
    queries = {f"x{number}": {"text": f"query {number} é"} for number in range(50, 110)}
    qrels = [
        (query, f"x{answer}", int(grade))
        for query in queries
        for answer, grade in zip(random.choice(80, 5, replace=False), random.integers(-1, 4, 5), strict=True)
    ]
    names = str(request.param).replace(" and", ",").split(", ")
    parts = {name: [row for row in qrels if int(row[0][1:]) % len(names) == part] for part, name in enumerate(names)}
    return write_beir(tmp_path_factory.mktemp("beir") / "data", documents, queries, parts)


def splits(folder: Path) -> list[str]:
    return [path.stem for path in (folder / "qrels").glob("*.tsv")]


def positive(qrels: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """Only the judgements that say relevant, and only the queries that have one."""
    kept = {query: {key: grade for key, grade in row.items() if grade > 0} for query, row in qrels.items()}
    return {query: row for query, row in kept.items() if row}


def judgements(dataset: Dataset, rows: np.ndarray) -> dict[str, dict[str, int]]:
    taken = dataset.qrels.take(torch.from_numpy(rows))
    offsets = taken.offsets.tolist()
    return {
        dataset.query_ids[row]: {
            dataset.document_ids[taken.columns[pair]]: int(taken.values[pair]) for pair in range(low, high)
        }
        for row, low, high in zip(rows, offsets[:-1], offsets[1:], strict=True)
    }


def test_the_loader_reads_the_same(folder: Path) -> None:
    dataset = read_folder(folder)
    everything = np.arange(len(dataset.query_ids))
    for split in splits(folder):
        corpus, queries, qrels = GenericDataLoader(str(folder)).load(split)
        joined = {key: f"{row['title'] or ''} {row['text']}".strip() for key, row in corpus.items()}
        assert dict(zip(dataset.document_ids, dataset.documents, strict=True)) == joined
        rows = dataset.official[split] if dataset.official else everything
        assert judgements(dataset, rows) == positive(qrels)
        assert {dataset.query_ids[row]: dataset.queries[row] for row in rows} == {
            query: queries[query] for query in positive(qrels)
        }
    assert bool(dataset.official) == (len(splits(folder)) == 3)


def test_the_last_of_several_judgements_of_one_pair_counts(tmp_path: Path, write_beir: Any) -> None:
    texts = {f"x{number}": {"text": f"text {number}"} for number in range(20)}
    once = [(f"x{number}", "x0", 1) for number in range(1, 16)]
    again = [("x1", "x5", 2), ("x2", "x5", 2), ("x1", "x5", 0), ("x2", "x5", 1), ("x3", "x0", 0), ("x3", "x7", 1)]
    folder = write_beir(tmp_path / "data", texts, texts, {"test": [*once, *again]})
    dataset = read_folder(folder)
    _, _, qrels = GenericDataLoader(str(folder)).load("test")
    assert judgements(dataset, np.arange(len(dataset.query_ids))) == positive(qrels)


def test_the_evaluation_gives_the_same_scores(folder: Path) -> None:
    dataset = read_folder(folder)
    random = np.random.default_rng(1)
    vectors = random.normal(size=(80, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = torch.from_numpy(random.normal(size=(len(dataset.query_ids), 8)).astype(np.float32))
    for row, key in enumerate(dataset.query_ids):  # so that a query that is a document would find itself
        if key in dataset.document_ids:
            asked[row] += 3 * torch.from_numpy(vectors[list(dataset.document_ids).index(key)])
    for split in splits(folder):
        rows = dataset.official[split] if dataset.official else np.arange(len(dataset.query_ids))
        chosen = torch.from_numpy(rows)
        ranking = top_k(asked[chosen], Corpus.from_vectors(vectors), 100, exclude=dataset.exclude.take(chosen))
        ours = score(ranking, dataset.qrels.take(chosen))
        with_itself = score(top_k(asked[chosen], Corpus.from_vectors(vectors), 100), dataset.qrels.take(chosen))
        assert ours["ndcg@10"].mean() > with_itself["ndcg@10"].mean(), "exclusions must matter here"

        similarity = asked.double().numpy() @ vectors.T.astype(np.float64)
        run = {
            dataset.query_ids[row]: dict(zip(dataset.document_ids, similarity[row].tolist(), strict=True))
            for row in rows
        }
        _, _, qrels = GenericDataLoader(str(folder)).load(split)
        ndcg, mean_precision, recall, _ = EvaluateRetrieval.evaluate(positive(qrels), run, [1, 10, 100])
        for name, theirs in (
            ("ndcg@10", ndcg["NDCG@10"]),
            ("recall@1", recall["Recall@1"]),
            ("recall@10", recall["Recall@10"]),
            ("recall@100", recall["Recall@100"]),
            ("map@100", mean_precision["MAP@100"]),
        ):
            assert ours[name].mean() == pytest.approx(theirs, abs=1e-5), name  # beir rounds to 5 digits
        assert 0.05 < ours["ndcg@10"].mean() < 0.95
        capped = EvaluateRetrieval.evaluate_custom(positive(qrels), run, [1, 10], metric="recall_cap")
        for k in (1, 10):
            assert ours[f"recall_capped@{k}"].mean() == pytest.approx(capped[f"R_cap@{k}"], abs=1e-5)
        reciprocal = EvaluateRetrieval.evaluate_custom(positive(qrels), run, [10], metric="mrr")
        assert ours["mrr@10"].mean() == pytest.approx(reciprocal["MRR@10"], abs=1e-5)
