"""What thousands of cells cost around what they do: printed, never judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

CELLS = 5_000
RUN = """
import json, resource, sys
from bench.cli import main
try:
    main({arguments!r})
finally:
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss), file=sys.stderr)
"""


def test_thousands_of_trivial_cells(
    benchmark: Any, toy_folder: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """60 documents, 12 test queries, `none`; what is timed is from the first cell's end to the last one's."""
    seeds = ",".join(map(str, range(CELLS)))
    arguments = ["run", "--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--methods", "none"]
    arguments += ["--seeds", seeds, "--out", str(tmp_path / "out"), "--workers", "1", "--wandb", "off"]
    variables = {**os.environ, "TUNEBENCH_CACHE": str(tmp_path / "cache")}

    def run() -> subprocess.CompletedProcess[str]:
        code = RUN.format(arguments=arguments)
        return subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)

    done = benchmark.pedantic(run, rounds=1)
    (journal,) = (tmp_path / "out" / ".runs").glob("*.jsonl")
    ends = [line["at"] for line in map(json.loads, journal.read_text().splitlines()[1:]) if line["what"] == "ok"]
    assert len(ends) == CELLS
    records = [json.loads(path.read_text()) for path in (tmp_path / "out" / "records").iterdir()]
    own = fmean(sum(record["seconds"][phase] for phase in ("fit", "search", "score")) for record in records)
    peak = {record["seed"]: record["memory"]["rss"] / 2**20 for record in records}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", f"from bench.cli import main; main(['status', {str(tmp_path / 'out')!r}])"],
        capture_output=True,
        check=True,
    )
    status = time.perf_counter() - began
    with capsys.disabled():
        each = (ends[-1] - ends[0]) / (CELLS - 1)
        print(
            f"\nLOAD {CELLS:,} cells: {1000 * each:.0f} ms each, "
            f"{1000 * (each - own):.0f} ms of it around fit, search and score"
        )
        print(
            f"MEMORY worker {fmean(peak[seed] for seed in range(100, 200)):.0f} MB at cells 100 to 200, "
            f"{fmean(peak[seed] for seed in range(CELLS - 100, CELLS)):.0f} MB at the last 100; "
            f"its parent {int(done.stderr.splitlines()[-1]) / 1024:.0f} MB at the most"
        )
        print(f"STATUS {status:.2f} s")
