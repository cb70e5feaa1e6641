"""The names under which figures stand in scores, records and tables, and of what lies in a results folder."""

MAIN = "ndcg@10"
BASELINE = "none"
METRICS = (
    MAIN,
    "recall@1",
    "recall@10",
    "recall@100",
    "mrr@10",
    "map@100",
    "recall_capped@1",
    "recall_capped@10",
)
BUCKETS = ("unseen", "<.6", ".6-.8", ".8-.9", ">.9")  # by the cosine of the nearest train query
RUNS, SCRATCH = ".runs", ".scratch"  # journals of runs, and what fits leave for others
