"""The command `tunebench`. Nothing heavy is imported before a subcommand needs it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from bench.spec import Suite
    from bench.track import Mode

BAD_INPUT = 2
FAILED = 1
STOPPED = 130  # as shells say of what Ctrl-C has ended


class _Commands(click.Group):
    """Turns an error that is the user's to mend into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        from bench.errors import BadInput

        try:
            return super().invoke(ctx)
        except (BadInput, ValueError) as error:
            if not isinstance(error, BadInput):
                from methods import UnknownName

                if not isinstance(error, UnknownName):
                    raise
            click.echo(f"tunebench: {' '.join(str(error).split())}", err=True)
            sys.exit(BAD_INPUT)
        except KeyboardInterrupt:
            click.echo("tunebench: stopped; the same command goes on", err=True)
            sys.exit(STOPPED)


def _names(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Splits at commas, but not inside the brackets of `adaptor[batch=64,steps=9]`."""
    return None if value is None else tuple(filter(None, re.split(r"\s*,(?![^\[]*\])\s*", value.strip())))


def _numbers(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    try:
        return None if value is None else tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r}: write whole numbers separated by commas, as 0,1,2") from None


def _resources(_context: click.Context, _parameter: click.Parameter, value: str | None) -> dict[str, float]:
    """Numbers, with units of 1024 for bytes."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
    found: dict[str, float] = {}
    for part in filter(None, (value or "").split(",")):
        match = re.fullmatch(r"\s*(cpus|gpus|memory)\s*=\s*(\d+(?:\.\d+)?)([KMGT]?)\s*", part)
        if match is None or (match[3] and match[1] != "memory"):
            raise click.BadParameter(f"{part!r}: write cpus=2, gpus=1 or memory=16G")
        found[match[1]] = float(match[2]) * units.get(match[3], 1)
    return found


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tunebench")
def main() -> None:
    """Compares ways of fine-tuning embeddings on your data: what they gain, what they cost, and whether it is real."""


@main.command()
@click.argument("suite", required=False)
@click.option("--data", metavar="DIR", help="A BEIR folder; short for --datasets folder:DIR.")
@click.option("--datasets", callback=_names, metavar="A,B", help="Data sets instead of the suite's.")
@click.option("--encoder", "encoders", callback=_names, metavar="A,B", help="Encoders instead of the data sets' own.")
@click.option(
    "--methods", callback=_names, metavar="A,B", help="Methods instead of the suite's: name[key=value,…], name+name."
)
@click.option("--seeds", callback=_numbers, metavar="0,1,2", help="Seeds instead of the suite's.")
@click.option("--split", type=click.Choice(["default", "official", "random", "grouped"]), help="How queries are split.")
@click.option("--limit", type=int, metavar="N", help="Keep at the most N judged queries of each data set.")
@click.option("--tune", type=int, metavar="N", help="Add a row tuned by N trials for each method with a search space.")
@click.option("--device", default="cpu", show_default=True, metavar="DEVICE", help="cpu, cuda (all GPUs) or cuda:0.")
@click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where cells run: in processes of this machine, or on a Ray cluster.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    envvar="TUNEBENCH_WORKERS",
    show_envvar=True,
    metavar="N",
    help="Cells at once; 0 runs them in this process, for a debugger.  [default: one a GPU; 1 on the CPU]",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="What a cell has; then it has failed.")
@click.option(
    "--address", metavar="ADDRESS", help="Of the Ray cluster.  [default: RAY_ADDRESS; or one of this machine]"
)
@click.option(
    "--per-cell",
    callback=_resources,
    metavar="cpus=2,gpus=1,memory=16G",
    help="What Ray sets aside for a cell.  [default: cpus=1, and gpus=1 on cuda]",
)
@click.option("--trust-remote-code", is_flag=True, help="Let encoders run the Python code that comes with them.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Results folder.  [default: results/local/<suite>]",
)
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
    asked = _suite(suite, data, chosen)

    from contextlib import ExitStack, closing

    from bench.data.catalogue import default_encoder
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
            view.origins(asked.origins())
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


def _suite(name: str | None, data: str | None, chosen: dict[str, Any]) -> Suite:
    """The suite that is named, with what was chosen on the command line in its place, every name checked."""
    chosen = {key: value for key, value in chosen.items() if value is not None}
    if data is not None:
        chosen["datasets"] = (*chosen.get("datasets", ()), f"folder:{data}")
    if name is None and "datasets" not in chosen:
        raise click.UsageError("name a suite (`tunebench list suites`), or give --data DIR")

    from bench.data.catalogue import check_dataset_name
    from bench.embed.encoders import check_encoder_name
    from bench.spec import make_suite, read_suite

    written = read_suite(name or "quick").model_dump()
    if name is None:
        written["name"] = re.sub(r"[^\w.-]+", "-", Path(chosen["datasets"][0].removeprefix("folder:")).resolve().name)
    suite = make_suite("command line", {**written, **chosen})
    for dataset in (*suite.datasets, *(suite.encoders if isinstance(suite.encoders, dict) else ())):
        check_dataset_name(dataset)
        for encoder in suite.encoders_of(dataset):
            check_encoder_name(encoder)
    return suite


@main.command(context_settings={"ignore_unknown_options": True})
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
    suite = _suite(asked["suite"], asked["data"], {name: asked[name] for name in asked if name in Suite.model_fields})
    click.echo(sweep(list(suite.cells(default_encoder)), options), nl=False)


@main.command("list")
@click.argument("what", type=click.Choice(["methods", "datasets", "encoders", "suites"]))
@json_option
def list_(what: str, as_json: bool) -> None:
    """List what can be named on the command line and in suites."""
    from bench.listing import LISTS
    from bench.terminal import print_rows

    print_rows(LISTS[what](), as_json)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def status(folder: Path, as_json: bool) -> None:
    """Show how far the runs of a results FOLDER are: done, failed, at work, and about the time left."""
    from bench.watch import print_status

    print_status(folder, as_json)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def report(folder: Path, as_json: bool) -> None:
    """Write the leaderboards of a results FOLDER (.md, .csv, .tex, .json, .html, figures) and print them."""
    from bench.show import print_boards

    print_boards(folder, as_json)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("a")
@click.argument("b")
@json_option
def compare(folder: Path, a: str, b: str, as_json: bool) -> None:
    """Compare the methods A and B, named as the boards of a results FOLDER name them.

    Prints their difference overall and by what train queries have told, whether it is significant, and the test
    queries that change most.
    """
    from bench.show import print_versus

    print_versus(folder, a, b, as_json)


@main.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@json_option
def diff(old: Path, new: Path, as_json: bool) -> None:
    """Compare two results folders, and exit with 1 when NEW is worse than OLD beyond noise.

    Cells are compared by data set, split, encoder, method and seed, over the same data. One that is ok in OLD and
    failed in NEW is worse, too.
    """
    from bench.show import print_diff

    sys.exit(FAILED if print_diff(old, new, as_json) else 0)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say how many runs W&B lacks, and send none.")
@json_option
def push(folder: Path, dry_run: bool, as_json: bool) -> None:
    """Send to W&B the cells of a results FOLDER that it lacks."""
    from bench.record import Results
    from bench.show import print_told
    from bench.terminal import waiting
    from bench.track import chosen_mode, track

    chosen_mode("online")
    with waiting("W&B", quiet=as_json):
        tracked = track(Results(folder), folder.resolve().name, "online", dry_run=dry_run)
    print_told(tracked, as_json)
    sys.exit(FAILED if tracked.problem else 0)


@main.command()
@click.argument("suites", nargs=-1, metavar="[SUITE]...")
@click.option("--dry-run", is_flag=True, help="Print what W&B would store, as JSON; no network or key is needed.")
@json_option
def dashboard(suites: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Store at W&B a workspace of the project, and a report of each SUITE that was run or pushed there.

    The project is the one that WANDB_ENTITY and WANDB_PROJECT name. What was stored before is replaced.
    """
    from bench.show import print_told
    from bench.terminal import print_rows, waiting
    from bench.track import chosen_mode, save_dashboard

    chosen_mode("online")
    if dry_run:
        from bench.track.views import views

        print_rows(views(suites), as_json=True)
        return
    with waiting("W&B", quiet=as_json):
        saved = save_dashboard(suites)
    print_told(saved, as_json)
    sys.exit(FAILED if saved.problem else 0)


@main.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check this installation: packages, devices, the embedded model, the cache."""
    from bench.doctor import examine
    from bench.terminal import print_rows

    found = examine()
    print_rows(found, as_json)
    sys.exit(FAILED if any(row["state"] == "broken" for row in found) else 0)
