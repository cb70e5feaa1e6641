"""One record as one W&B run, written whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
import wandb

from bench.names import BASELINE, MAIN
from bench.record import OF_METHOD, Record, Results, cell_id

LONGEST_TAG = 64  # characters that W&B takes


def gains(records: Iterable[Record]) -> dict[str, float]:
    """How far the main metric is above the baseline's in the same setting and with the same seed, by cell id."""
    done: list[Any] = [record for record in records if record.status == "ok"]
    done.sort(key=lambda record: record.identity["method_version"])  # so that the newest baseline counts
    levels = {(setting(record), record.seed): record.metrics[MAIN] for record in done if record.method == BASELINE}
    compared = [(record, levels.get((setting(record), record.seed))) for record in done]
    return {cell_id(record.identity): record.metrics[MAIN] - level for record, level in compared if level is not None}


def setting(record: Record) -> str:
    """What cells must share to be compared: a hash stands for all of the identity but the method and the seed."""
    shared = {name: value for name, value in record.identity.items() if name not in {*OF_METHOD, "seed"}}
    return f"{record.dataset} · {record.encoder} · {record.identity['accelerator']} · {cell_id(shared)[:8]}"


def write_run(run_id: str, record: Record, gain: float | None, results: Results, group: str, folder: Path) -> Path:
    """Writes an offline run.

    Args:
        run_id: of the run.
        record: of a cell that is `ok` or `failed`; the run of the latter is marked as failed.
        gain: in the main metric over the baseline, if that is known.
        results: where the scores of an `ok` one are, and what its method has learnt if that was kept.
        group: of the run.
        folder: to write into.

    Returns:
        The run's folder, in `folder / "wandb"`.
    """
    run = wandb.init(
        mode="offline",
        dir=folder,
        id=run_id,
        name=f"{record.dataset} · {record.method} · seed {record.seed}",
        group=group,
        job_type=re.sub(r"\[[^\]]*\]", "", record.method),
        tags=[tag[-LONGEST_TAG:] for tag in (record.dataset, record.encoder, record.identity["accelerator"])],
        notes="\n".join(filter(None, (record.reason, *record.notes))),
        config={**record.identity, "setting": setting(record)},
        reinit="create_new",
        # The machine that writes the run need not be the one that ran the cell.
        settings=wandb.Settings(console="off", x_disable_machine_info=True, x_save_requirements=False),
    )
    _log_curves(run, record.curves)
    if record.status == "ok":
        run.log({"per_query": _table(results.per_query(record))})
    if (artefact := results.artefact(record.identity)).is_dir():
        run.log_artifact(artefact, name=cell_id(record.identity), type="tuned")
    run.summary.update(summary(record, gain))
    run.finish(exit_code=int(record.status == "failed"))
    return Path(run.dir).parent


def summary(record: Record, gain: float | None) -> dict[str, Any]:
    """The final metrics and the costs, each under a path: "ndcg@10", "gain", "seen/ndcg@10", "seconds/fit"."""
    rest = {name: getattr(record, name) for name in ("seconds", "counts", "memory", "chosen", "environment")}
    single = {"gain": gain, "fit_seconds": record.fit_seconds, "reason": record.reason}
    found = dict(_paths({**record.metrics, **single, **rest}))
    return {name: value for name, value in found.items() if value is not None}


def _paths(values: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        inner = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(inner, dict):
            yield from ((f"{name}/{rest}", each) for rest, each in _paths(inner))
        else:
            yield str(name), inner


def _log_curves(run: wandb.Run, curves: Mapping[str, list[float]]) -> None:
    """Logs the curves, each by the number of its value: one has a value a step, another one a check."""
    for name in curves:
        run.define_metric(f"{name}/nth", hidden=True, summary="none")
        run.define_metric(name, step_metric=f"{name}/nth")
    for nth, values in enumerate(zip_longest(*curves.values())):
        present = {name: value for name, value in zip(curves, values, strict=True) if value is not None}
        run.log({**present, **{f"{name}/nth": nth for name in present}})


def _table(per_query: Path) -> wandb.Table:
    """The scores; where no train query is near there is no cosine, and W&B takes None for that but no NaN."""
    scores = pd.read_parquet(per_query)
    rows = scores.astype(object).where(scores.notna(), None).to_numpy()
    return wandb.Table(columns=list(scores.columns), data=rows)  # three times as fast as from the frame
