"""What carries a run out: workers somewhere, which are asked and answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bench.errors import BadInput

if TYPE_CHECKING:
    from bench.run.workbench import Progress
    from bench.run.worker import Job

Tell = Callable[[str], None]
Ask = Literal["plan", "refuse", "foresee", "run"]  # a method of Worker


@dataclass(frozen=True)
class Lost:
    """There is no answer, for the worker's process has ended.

    Attributes:
        reason: what is known of why.
    """

    reason: str


class Executor(Protocol):
    """Workers, one beside the other."""

    @property
    def seats(self) -> int:
        """How much may be asked before something is answered."""
        ...

    def begin(self, key: str, ask: Ask, argument: Any) -> None:
        """Has a worker carry out a method of `Worker`; the answer bears the key."""
        ...

    def answer(self) -> tuple[str, Any]:
        """Waits for the next answer: the key, and what the method has returned, or `Lost`.

        Raises:
            BadInput: what the method has raised.
        """
        ...

    def close(self) -> None:
        """Ends all workers, whatever they are doing."""
        ...


@dataclass(frozen=True)
class Where:
    """Where cells run.

    Attributes:
        executor: in processes of this machine, or on a Ray cluster.
        workers: at the most; 0 is this very process, None what the executor finds right.
        address: of the cluster, or None for the one that Ray finds or starts.
        per_cell: "cpus", "gpus" and bytes of "memory" that Ray sets aside for a cell.
    """

    executor: Literal["local", "ray"] = "local"
    workers: int | None = None
    address: str | None = None
    per_cell: Mapping[str, float] = field(default_factory=dict)


def start_executor(job: Job, where: Where, progress: Progress, tell: Tell) -> Executor:
    """Starts what carries out a job.

    Args:
        job: what holds for all cells.
        where: they run.
        progress: is told what is being encoded, how many items more are done, and of how many.
        tell: is told what a person should know.

    Raises:
        BadInput: when what is asked for does not go together, or is not there.
    """
    if where.executor == "ray":
        from bench.run.on_ray import OnRay

        return OnRay(job, where, tell)
    if where.address or where.per_cell:
        raise BadInput("--address and --per-cell are for --executor ray; leave them out, or name it")
    if where.workers == 0 and job.timeout is not None:
        raise BadInput("--timeout ends a cell's process; leave out --workers 0")
    from bench.run.local import InProcess, Processes

    return InProcess(job, progress) if where.workers == 0 else Processes(job, where.workers, progress, tell)
