"""The Ray executor: workers on the machines of a Ray cluster, which share the results folder and the cache."""

from __future__ import annotations

import logging
import os
import re
import socket
from dataclasses import replace
from functools import lru_cache
from typing import Any

from bench.cache import cache_folder
from bench.errors import BadInput, one_line
from bench.record import Results
from bench.run.executor import Ask, Lost, Tell, Where
from bench.run.worker import Job, Worker

PATIENCE = 20  # seconds that a cluster has to answer
RESOURCES = {"cpus": "CPU", "gpus": "GPU", "memory": "memory"}  # what Ray calls them


class OnRay:
    """Workers that Ray places, each for as many cells as it likes."""

    def __init__(self, job: Job, where: Where, tell: Tell) -> None:
        """Connects to the cluster, or starts one on this machine.

        Raises:
            BadInput: when Ray is not installed, or no cluster answers.
        """
        if where.workers == 0:
            raise BadInput("--workers 0 runs cells in this process; leave it out with --executor ray")
        try:
            import ray
        except ModuleNotFoundError:
            raise BadInput("--executor ray: ray is not installed; pip install 'tunebench[ray]'") from None
        self._ray, self._where = ray, where
        self._per_cell = {"cpus": 1.0, **({"gpus": 1.0} if job.device == "cuda" else {}), **where.per_cell}
        self._job = replace(job, folder=job.folder.resolve())
        self._running: dict[Any, tuple[str, Ask, Any]] = {}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        variables = {
            "OMP_NUM_THREADS": str(max(1, int(self._per_cell["cpus"]))),  # of a result, so it is the same everywhere
            "TUNEBENCH_CACHE": str(cache_folder().resolve()),
        }
        try:
            _knock(where.address or "")
            ray.init(
                address=where.address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": variables},
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise BadInput(f"--address {where.address or 'none'}: no Ray cluster ({one_line(error)})") from None
        self._remote = ray.remote(
            num_cpus=self._per_cell["cpus"],
            num_gpus=self._per_cell.get("gpus", 0),
            memory=self._per_cell.get("memory", 0),
            max_retries=0,  # the scheduler tries again, so that it can tell
        )(_carry_out)
        if not self._capacity():
            wanted = ", ".join(f"{name}={amount:g}" for name, amount in self._per_cell.items())
            tell(f"no node of the cluster has {wanted}; cells wait until one has")

    @property
    def seats(self) -> int:
        """See `Executor`: as many as the nodes that are there now have room for."""
        return self._where.workers or max(1, self._capacity())

    def begin(self, key: str, ask: Ask, argument: Any) -> None:
        """See `Executor`."""
        self._running[self._remote.remote(self._job, ask, argument)] = key, ask, argument

    def answer(self) -> tuple[str, Any]:
        """See `Executor`."""
        (done, *_), _ = self._ray.wait(list(self._running), num_returns=1)
        key, ask, argument = self._running.pop(done)
        try:
            answer = self._ray.get(done)
        except BadInput as problem:
            raise BadInput(str(getattr(problem, "cause", problem))) from None
        except self._ray.exceptions.RayError as error:
            return key, Lost(_reason(error))
        if ask == "run" and not Results(self._job.folder).path(argument.identity).exists():
            raise BadInput(f"{self._job.folder}: lacks what a worker wrote there; --out takes a folder that all share")
        return key, answer

    def close(self) -> None:
        """See `Executor`."""
        for done in self._running:
            self._ray.cancel(done, force=True)
        self._ray.shutdown()

    def _capacity(self) -> int:
        """How many cells the nodes have room for."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        wanted = {RESOURCES[name]: amount for name, amount in self._per_cell.items() if amount}
        return sum(int(min(node.get(name, 0) // amount for name, amount in wanted.items())) for node in nodes)


def _knock(address: str) -> None:
    """Raises an OSError when nobody answers at a host and port, for which Ray would wait many minutes."""
    if where := re.fullmatch(r"(?:ray://)?\[?([^\[\]]+)\]?:(\d+)", address):
        socket.create_connection((where[1], int(where[2])), timeout=PATIENCE).close()


def _carry_out(job: Job, ask: Ask, argument: Any) -> Any:
    return getattr(_worker(job), ask)(argument)


@lru_cache(maxsize=1)
def _worker(job: Job) -> Worker:
    """The worker of this process, which Ray keeps for the cells to come."""
    return Worker(job, lambda *_: None, alone=True)


def _reason(error: Exception) -> str:
    known = {
        "NodeDiedError": "its node was lost",
        "OutOfMemoryError": "memory ran out on its node",
        "WorkerCrashedError": "the worker died",
    }
    return known.get(type(error).__name__, one_line(error))
