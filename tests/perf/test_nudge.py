"""NUDGE against its authors' package, and against the one matrix product that nobody can do without.

100,000 documents of 384 dimensions, 20,000 train and 2,000 dev queries; every figure from a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

N = 100_000


def measure(run: str, n: int = N, rounds: int = 1, file: Path | None = None) -> tuple[float, float]:
    """Seconds and megabytes, as `nudge_alone.py` prints them."""
    script = Path(__file__).with_name("nudge_alone.py")
    arguments = [run, str(n), str(rounds), *([] if file is None else [str(file)])]
    done = subprocess.run([sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True, check=True)
    seconds, megabytes = done.stdout.split()
    return float(seconds), float(megabytes)


@cache
def product_seconds(role: str) -> float:
    return measure(f"product/{role}", rounds=3)[0]


@pytest.mark.parametrize(("name", "peer"), [("nudge-m", "NUDGEM"), ("nudge-n", "NUDGEN")])
def test_speed_and_memory(benchmark: Any, name: str, peer: str) -> None:
    seconds, megabytes = benchmark.pedantic(lambda: measure(name, rounds=3), rounds=1)
    whole, most = measure(peer)
    spared, _ = measure(f"{peer}/nontrain")
    print(
        f"\nSPEED {name} {whole / seconds:.1f}x of nudge-ft ({spared / seconds:.1f}x with its nontrain_embeddings), "
        f"{seconds / product_seconds('dev'):.1f}x of one product ({seconds:.2f} s)"
        f"\nMEMORY {name} 1/{most / megabytes:.0f} of nudge-ft ({megabytes:.0f} of {most:.0f} MB)"
    )


def test_leaving_one_out(benchmark: Any) -> None:
    """It asks the train queries, ten times as many, so the product is theirs."""
    seconds, megabytes = benchmark.pedantic(lambda: measure("nudge-loo"), rounds=1)
    print(
        f"\nSPEED nudge-loo {seconds / product_seconds('train'):.1f}x of one product with all train queries "
        f"({seconds:.1f} s)\nMEMORY nudge-loo {megabytes:.0f} MB"
    )


def test_exact_search_beside_the_grid(benchmark: Any) -> None:
    exact, _ = benchmark.pedantic(lambda: measure("nudge-n[metric=hit@1]", rounds=3), rounds=1)
    grid, _ = measure("nudge-n[compat=reference]", rounds=3)
    print(f"\nEXACT {exact / grid:.2f}x of the authors' grid ({exact:.2f} of {grid:.2f} s)")


@pytest.mark.parametrize("n", [10_000, 100_000, 1_000_000, 5_000_000])
def test_curve(benchmark: Any, n: int, tmp_path: Path) -> None:
    """The same touched documents among ever more, which lie in a file."""
    file = tmp_path / "vectors.npy"
    seconds, megabytes = benchmark.pedantic(lambda: measure("nudge-n", n, 2, file), rounds=1)
    file.unlink()
    print(f"\nCURVE nudge-n, {n:,} documents: {seconds:.2f} s, {megabytes:.0f} MB ({seconds / n * 1e6:.1f} µs each)")
