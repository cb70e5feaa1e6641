"""Metrics per query, by trec_eval's own code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytrec_eval

from bench.names import METRICS
from methods import Csr, Ranking

DEPTH = 100  # how many documents are retrieved for a query
_TREC = {
    "ndcg@10": "ndcg_cut_10",
    "recall@1": "recall_1",
    "recall@10": "recall_10",
    "recall@100": "recall_100",
    "mrr@10": "recip_rank",
    "map@100": "map_cut_100",
}


def score(ranking: Ranking, relevant: Csr) -> pd.DataFrame:
    """Scores the rankings of m queries that each have a relevant document.

    trec_eval sorts by score and breaks ties its own way, so it is given the ranks instead of the scores. Its NDCG has
    linear gain. `recall_capped@k` is hits / min(number of relevant documents, k), as in Zeighami et al. 2024.

    Args:
        ranking: at least the 100 best documents of each query, if there are so many.
        relevant: m rows of relevant documents with whole grades.

    Returns:
        m rows; a float64 column for each of `METRICS`.
    """
    rows = ranking.rows[:, :DEPTH].tolist()
    columns, grades, offsets = relevant.columns.tolist(), relevant.values.int().tolist(), relevant.offsets.tolist()
    qrels, run = {}, {}
    for query, retrieved in enumerate(rows):
        own = slice(offsets[query], offsets[query + 1])
        qrels[str(query)] = dict(zip(map(str, columns[own]), grades[own], strict=True))
        run[str(query)] = {str(row): float(-rank) for rank, row in enumerate(retrieved) if row >= 0}
    measures = {"ndcg_cut.10", "recall.1,10,100", "recip_rank", "map_cut.100"}
    found = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    scores = pd.DataFrame(
        {name: [found.get(str(query), {}).get(trec, 0.0) for query in range(len(rows))] for name, trec in _TREC.items()}
    )
    scores["mrr@10"] = scores["mrr@10"].where(scores["mrr@10"] >= 1 / 10, 0.0)
    answers = relevant.lengths.numpy()
    for k in (1, 10):
        scores[f"recall_capped@{k}"] = scores[f"recall@{k}"] * answers / np.minimum(answers, k)
    return scores[list(METRICS)]
