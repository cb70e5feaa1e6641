"""Commands over finished cells."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.commands.options import FAILED, json_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def status(folder: Path, as_json: bool) -> None:
    """Show how far the runs of a results FOLDER are: done, failed, at work, and about the time left."""
    from bench.watch import print_status

    print_status(folder, as_json)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def report(folder: Path, as_json: bool) -> None:
    """Write the leaderboards of a results FOLDER (.md, .csv, .tex, .json, .html, figures) and print them."""
    from bench.show import print_boards

    print_boards(folder, as_json)


@click.command()
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


@click.command()
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


@click.command()
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


@click.command()
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
