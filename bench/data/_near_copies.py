"""Which of many texts say nearly the same, judged by their words, so that no encoder has a say in the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK = 512  # rows of the similarity matrix held at a time: it is all but dense, for most texts share some word
_DIGITS = 9  # Cosines are rounded before they meet a threshold: their last bits differ between machines.


def near_copies(texts: Sequence[str], cosine: float) -> NDArray[np.int64]:
    """Groups the texts that are linked by a chain of near-copies.

    Repeated words count by their logarithm, or else a phrase that a text has ten times would drown the few words in
    which it differs from another.

    Args:
        texts: n texts.
        cosine: two texts are near-copies when the cosine of their TF-IDF vectors, in float64, is above it.

    Returns:
        (n,) int64: for each text the row of the first text of its group.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True, dtype=np.float64)  # noqa: S106
    vectors = vectorizer.fit_transform(texts)
    rows, columns = [], []
    for start in range(0, len(texts), _BLOCK):
        similar = (vectors[start : start + _BLOCK] @ vectors.T).tocoo()
        linked = similar.data.round(_DIGITS) > cosine
        rows.append(similar.row[linked] + start)
        columns.append(similar.col[linked])
    row, column = np.concatenate(rows), np.concatenate(columns)
    graph = coo_array((np.ones(len(row)), (row, column)), shape=(len(texts), len(texts)))
    _, labels = connected_components(graph, directed=False)
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return first[group].astype(np.int64)
