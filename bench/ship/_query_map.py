"""What a query vector goes through before it is searched with; needs nothing but numpy."""

import math
from functools import cache
from pathlib import Path

import numpy as np

PHI = np.vectorize(lambda x: (1 + math.erf(x / math.sqrt(2))) / 2, otypes=[np.float64])


@cache
def layers() -> list[dict[str, np.ndarray]]:
    with np.load(Path(__file__).with_name("query_map.npz"), allow_pickle=False) as file:
        steps = range(len(file.files) // 4)
        return [{name: file[f"{n}.{name}"] for name in ("weight", "bias", "unit", "gelu")} for n in steps]


def query_map(vectors: np.ndarray) -> np.ndarray:
    """(m, d) vectors as the encoder gives them, to (m, d') float32, to be multiplied with the documents."""
    for layer in layers():
        if layer["unit"]:
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors @ layer["weight"].T + layer["bias"]
        if layer["gelu"]:
            vectors = vectors * PHI(vectors)
    return vectors.astype(np.float32)
