"""Commands that run cells."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from bench.commands.options import (
    FAILED,
    device_option,
    json_option,
    resources,
    results_option,
    seconds,
    suite_options,
    trust_option,
    workers_option,
)

if TYPE_CHECKING:
    from bench.spec import Suite
    from bench.track import Mode


@click.command()
@click.argument("suite", required=False)
@suite_options
@click.option("--tune", type=int, metavar="N", help="Add a row tuned by N trials for each method with a search space.")
@device_option
@click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where cells run: in processes of this machine, or on a Ray cluster.",
)
@workers_option
@click.option("--timeout", type=float, metavar="SECONDS", help="What a cell has; then it has failed.")
@click.option(
    "--address", metavar="ADDRESS", help="Of the Ray cluster.  [default: RAY_ADDRESS; or one of this machine]"
)
@click.option(
    "--per-cell",
    callback=resources,
    metavar="cpus=2,gpus=1,memory=16G",
    help="What Ray sets aside for a cell.  [default: cpus=1, and gpus=1 on cuda]",
)
@trust_option
@results_option
@click.option(
    "--overwrite",
    type=click.Choice(["never", "failed", "always"]),
    default="failed",
    show_default=True,
    help="Which cells run again although they have a record.",
)
@click.option("--keep", is_flag=True, help="Keep what the methods learn, in artefacts/ of the results folder.")
@click.option("--dry-run", is_flag=True, help="Show the cells, which would run, and about what that costs.")
@click.option(
    "--wandb",
    type=click.Choice(["online", "offline", "off"]),
    help="Log the cells to W&B.  [default: WANDB_MODE; or online with an API key, offline without]",
)
@json_option
def run(  # noqa: PLR0913, PLR0917 — one a command-line option
    suite: str | None,
    data: str | None,
    out: Path | None,
    executor: Literal["local", "ray"],
    workers: int | None,
    address: str | None,
    per_cell: dict[str, float],
    dry_run: bool,
    wandb: Mode | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Run a SUITE and print its leaderboard.

    SUITE is a name from `tunebench list suites` or a TOML file. With --data or --datasets and no SUITE, the methods
    and seeds of `quick` run on them. A cell that has a record does not run again.
    """
    held = {name: chosen.pop(name) for name in ("device", "overwrite", "keep", "timeout", "trust_remote_code")}
    asked = read_asked(suite, data, chosen)

    from contextlib import ExitStack, closing

    from bench.data.catalogue import dataset_origins, default_encoder
    from bench.record import Results, cell_id
    from bench.run.executor import Where, start_executor
    from bench.run.journal import Journal
    from bench.run.scheduler import foresee_cells, plan_cells, run_cells
    from bench.run.worker import Job
    from bench.show import print_boards, print_foresight, print_tracked
    from bench.terminal import waiting
    from bench.track import chosen_mode, track
    from bench.watch import RunView

    mode = chosen_mode(wandb)
    results = Results(out or Path("results/local") / asked.name)
    job, where = Job(results.folder, **held), Where(executor, workers, address, per_cell)
    with ExitStack() as journals:
        with RunView(quiet=as_json) as view, closing(start_executor(job, where, view.encoding, view.say)) as crew:
            view.origins({**asked.origins(), **dataset_origins(asked.datasets)})
            cells = list(asked.cells(default_encoder))
            view.rows(asked)
            if dry_run:
                foresight, costs = foresee_cells(cells, crew)
                view.costs(costs)
                print_foresight(*foresight, as_json=as_json)
                return
            planned, costs = plan_cells(cells, crew)
            view.costs(costs)
            journal = journals.enter_context(Journal(results.folder, asked.name, planned, crew.seats))
            view.begin(journal.course)
            for event in run_cells(planned, crew, results):
                journal.add(event)
                view.happened(event)
        print_boards(results.folder, as_json)
    with waiting("W&B", quiet=as_json):
        tracked = track(results, asked.name, mode, {cell_id(each.identity) for each in planned if each.due or wandb})
    print_tracked(results.folder, tracked, quiet=as_json)
    sys.exit(FAILED if journal.course.done["failed"] else 0)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@suite_options
@click.option(
    "--budget",
    callback=seconds,
    default="10m",
    show_default=True,
    metavar="TIME",
    help="What it may take: 90s, 10m, 2h.",
)
@device_option
@workers_option
@trust_option
@results_option
@json_option
def recommend(
    folder: Path | None,
    data: str | None,
    out: Path | None,
    budget: float,
    workers: int | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Say what to ship: over the finished cells of a results FOLDER, or, with --data DIR, after running what is due.

    The methods of the suite `recommend` run the cheapest first, each on five splits, as far as the budget goes; what is
    left of it draws the learning curves of the best. The decision stands in decision.json and on the page.
    """
    from bench.recommend.decide import decide
    from bench.show import print_decisions

    if folder is not None:
        decide(folder)
        print_decisions(folder, as_json)
        return
    if data is None and chosen["datasets"] is None:
        raise click.UsageError("name a FOLDER of results, or give --data DIR")
    held = {name: chosen.pop(name) for name in ("device", "trust_remote_code")}
    asked = read_asked(None, data, chosen, "recommend")
    if len(asked.datasets) > 1:
        raise click.UsageError("recommend is for one data set; `tunebench run` takes several")

    from contextlib import closing

    from bench.data.catalogue import dataset_origins, default_encoder
    from bench.recommend.ladder import METHODS, Ladder, curve_cells
    from bench.record import Results
    from bench.run.executor import Where, start_executor
    from bench.run.journal import Journal
    from bench.run.scheduler import plan_cells
    from bench.run.worker import Job
    from bench.watch import RunView

    results, ladder = Results(out or Path("results/local") / asked.name), Ladder(budget)
    job, where = Job(results.folder, **held), Where("local", workers, None, {})
    left_out: dict[str, str] = {}
    with RunView(quiet=as_json) as view, closing(start_executor(job, where, view.encoding, view.say)) as crew:
        view.origins({**asked.origins(), **dataset_origins(asked.datasets)})
        cells = list(asked.cells(default_encoder))
        for part in (METHODS, 1.0):
            planned, costs = plan_cells(cells if part == METHODS else curve_cells(results, cells), crew)
            view.costs(costs)
            with Journal(results.folder, asked.name, planned, crew.seats) as journal:
                view.begin(journal.course)
                for event in ladder.climb(planned, crew, results, part):
                    journal.add(event)
                    view.happened(event)
            if part == METHODS:  # that a curve has fewer points is no news
                left_out = dict(ladder.left_out)
    decide(results.folder, left_out)
    print_decisions(results.folder, as_json)


def read_asked(name: str | None, data: str | None, chosen: dict[str, Any], default: str = "quick") -> Suite:
    """The suite that is named, with what was chosen on the command line in its place, every name checked."""
    chosen = {key: value for key, value in chosen.items() if value is not None}
    if data is not None:
        chosen["datasets"] = (*chosen.get("datasets", ()), f"folder:{data}")
    if name is None and "datasets" not in chosen:
        raise click.UsageError("name a suite (`tunebench list suites`), or give --data DIR")

    from bench.data.catalogue import check_dataset_name
    from bench.embed.encoders import check_encoder_name
    from bench.spec import make_suite, read_suite

    written = read_suite(name or default).model_dump()
    if name is None:
        written["name"] = re.sub(r"[^\w.-]+", "-", Path(chosen["datasets"][0].removeprefix("folder:")).resolve().name)
    suite = make_suite("command line", {**written, **chosen})
    for dataset in (*suite.datasets, *(suite.encoders if isinstance(suite.encoders, dict) else ())):
        check_dataset_name(dataset)
        for encoder in suite.encoders_of(dataset):
            check_encoder_name(encoder)
    return suite


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("method")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[SUITE] [OPTIONS OF RUN]...")
def sweep(method: str, options: tuple[str, ...]) -> None:
    """Print a sweep of METHOD over its search space, for `wandb sweep` and `wandb agent`.

    What follows METHOD is what `tunebench run` takes, and leaves one cell, as --datasets apidocs --seeds 0: each trial
    runs it with hyperparameters of its own. W&B chooses them by the dev queries.
    """
    from bench.data.catalogue import default_encoder
    from bench.spec import Suite
    from bench.sweep import sweep

    asked = run.make_context("tunebench run", [*options, "--methods", method]).params
    suite = read_asked(
        asked["suite"], asked["data"], {name: asked[name] for name in asked if name in Suite.model_fields}
    )
    click.echo(sweep(list(suite.cells(default_encoder)), options), nl=False)
