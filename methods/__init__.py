"""The methods that are compared: a library of its own.

A method is one file in this folder, or an entry point in the group `tunebench.methods` of another package. Its name is
the file's, with hyphens; variants are hyperparameters, `adaptor[batch=512]`, and methods chain, `adaptor+nudge-n`.
`from methods import NudgeN` imports `nudge_n.py` and nothing else of them.

>>> import numpy as np
>>> from methods import Judged, NudgeN, Problem, Queries
>>> random = np.random.default_rng(0)
>>> documents = random.normal(size=(1000, 64))
>>> answers = random.integers(0, 1000, 500)
>>> queries = documents[answers] + random.normal(size=(500, 64))
>>> train, dev = (Judged.from_vectors(queries[part], answers[part]) for part in (slice(400), slice(400, 500)))
>>> tuned = NudgeN().fit(Problem.from_vectors(documents, train, dev))
>>> found = tuned.search(Queries.from_vectors(queries[:3]), k=10)
>>> found.rows[:, 0].tolist() == answers[:3].tolist()
True
"""

from __future__ import annotations

import re

from methods._contract import Encoder, Meter, Method, Part, Problem, Role, TrainableEncoder
from methods._corpus import Corpus, Item, Moved, Picture
from methods._csr import Csr
from methods._errors import ProblemError, Unsuited
from methods._fit import Chain, fit, with_trials
from methods._maps import Layer, layers
from methods._metrics import Metric
from methods._queries import Judged, Queries
from methods._registry import (
    UnknownName,
    hyperparameters,
    label,
    load_method,
    method_names,
    nearest_name,
    origin,
    origins,
    parse,
    written,
)
from methods._search import Ranking, has_bfloat16, top_k
from methods._space import Choice, Range, Space
from methods._tuned import Tuned, VectorTuned
from methods._tuning import searched

__all__ = [
    "Chain",
    "Choice",
    "Corpus",
    "Csr",
    "Encoder",
    "Item",
    "Judged",
    "Layer",
    "Meter",
    "Method",
    "Metric",
    "Moved",
    "Part",
    "Picture",
    "Problem",
    "ProblemError",
    "Queries",
    "Range",
    "Ranking",
    "Role",
    "Space",
    "TrainableEncoder",
    "Tuned",
    "UnknownName",
    "Unsuited",
    "VectorTuned",
    "fit",
    "has_bfloat16",
    "hyperparameters",
    "label",
    "layers",
    "load_method",
    "method_names",
    "nearest_name",
    "origin",
    "origins",
    "parse",
    "searched",
    "top_k",
    "with_trials",
    "written",
]


def __getattr__(name: str) -> type[Method]:
    """Finds the class `NudgeN` in `nudge_n.py`."""
    method = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
    if name[:1].isupper() and method in method_names():
        return load_method(method)
    raise AttributeError(f"module 'methods' has no attribute {name!r}")
