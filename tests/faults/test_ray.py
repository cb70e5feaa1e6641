"""Cells on a Ray cluster of three nodes, of which one is lost, and a worker killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import Start, Tally, by_method, ended, scores, until

METHODS = "none,adaptor[batch=16,steps=30],nudge-m,nudge-n,hangs[seconds=3]"
SEEDS = ("--seeds", "0,1,2")

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("faulty")]


@pytest.fixture
def cluster(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three nodes of one processor each, on this machine."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def at_work() -> list[int]:
    """The processes in which Ray has a cell."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::_carry_out"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_it_gives_what_this_machine_gives(
    cluster: Any, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    out = tmp_path / "out"
    process = start(METHODS, *SEEDS, "--executor", "ray", "--address", cluster.address, out=out)
    until(lambda: len(list((out / "records").glob("*.json"))) >= 2)
    until(at_work)
    os.kill(at_work()[0], signal.SIGKILL)
    until(lambda: len(list((out / "records").glob("*.json"))) >= 4)
    cluster.remove_node(min(cluster.worker_nodes, key=str), allow_graceful=False)
    said = ended(process)
    assert "it runs once more" in said
    ended(start(METHODS, *SEEDS, out=tmp_path / "here"))
    assert scores(out) == scores(tmp_path / "here")
    assert len(scores(out)) == 15
    tables = [
        {path.name: path.read_bytes() for path in (place / "per_query").iterdir()} for place in (out, tmp_path / "here")
    ]
    assert tables[0] == tables[1]
    tally("a killed worker of a Ray cluster", 1)
    tally("a lost node of a Ray cluster", 1)


def test_a_cell_that_kills_or_hangs_costs_no_other(cluster: Any, start: Start, tmp_path: Path) -> None:
    asked = ("none,dies,hangs,blabs", "--timeout", "15", "--executor", "ray", "--address", cluster.address)
    ended(start(*asked), code=1)
    found = by_method(tmp_path / "out")
    assert found["none"].status == "ok"
    assert {found[method].status for method in ("dies", "hangs", "blabs")} == {"failed"}
    assert (found["dies"].reason or "").startswith("the worker died; see logs/")
    assert (found["hangs"].reason or "").startswith("not done within the timeout")
    assert "[redacted]" in (found["blabs"].reason or "")


def test_bad_input_is_one_line(cluster: Any, start: Start) -> None:
    asked = ("none", "--executor", "ray", "--address", cluster.address, "--device", "cuda:7")
    said = ended(start(*asked), code=2)
    assert said.splitlines()[-1].startswith("tunebench: device 'cuda:7': ")


def test_an_address_where_no_cluster_is(start: Start) -> None:
    said = ended(start("none", "--executor", "ray", "--address", "127.0.0.1:1"), code=2)
    assert said.splitlines()[-1].startswith("tunebench: --address 127.0.0.1:1: no Ray cluster (")
