"""Commands that take what a cell's method has learnt to a server, and keep it up to date there."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.options import FAILED, device_option, json_option, out_option, trust_option

if TYPE_CHECKING:
    from bench.ship.artefact import Artefact
    from bench.ship.export import Target

CELL = "CELL is DIR:METHOD in a results folder (its smallest seed), a record's file, or what `tunebench update` wrote."


@click.command(epilog=CELL)
@click.argument("cell")
@click.option(
    "--to",
    type=click.Choice(["faiss", "npy", "parquet", "sentence-transformers"]),
    required=True,
    help="An index, arrays, a table, or a model with arrays.",
)
@out_option
@click.option("--patch", is_flag=True, help="Only the documents that are elsewhere than the encoder puts them.")
@device_option
@trust_option
@json_option
def export(cell: str, to: Target, out: Path, patch: bool, device: str, trust_remote_code: bool, as_json: bool) -> None:
    """Write what the method of CELL has learnt in a form that a server reads, with a card."""
    from bench.ship.export import check_target, export
    from bench.show import print_exported

    check_target(to, patch=patch)
    artefact = _opened(cell, device, trust_remote_code, quiet=as_json)
    command = (
        f"tunebench export {shlex.quote(cell)} --to {to}{' --patch' if patch else ''} --out {shlex.quote(str(out))}"
    )
    print_exported(artefact, export(artefact, to, out, patch=patch, command=command), out, as_json)


@click.command(epilog=CELL)
@click.argument("cell")
@click.option(
    "--documents", type=click.Path(path_type=Path), metavar="FILE", help="New documents, in the form of corpus.jsonl."
)
@click.option(
    "--queries",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="New queries, in the form of queries.jsonl, each with `relevant`: ids of documents, or {id: grade}.",
)
@out_option
@device_option
@trust_option
@json_option
def update(
    cell: str,
    documents: Path | None,
    queries: Path | None,
    out: Path,
    device: str,
    trust_remote_code: bool,
    as_json: bool,
) -> None:
    """Give a NUDGE artefact new documents and judgements, by touching only what they change, at its γ."""
    if documents is None and queries is None:
        raise click.UsageError("give --documents FILE, --queries FILE or both")

    from bench.ship.additions import Additions
    from bench.ship.update import update
    from bench.show import print_updated

    artefact = _opened(cell, device, trust_remote_code, quiet=as_json)
    print_updated(update(artefact, Additions(documents, queries), out), out, as_json)


@click.command(epilog=CELL)
@click.argument("cell")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="queries.jsonl and qrels/*.tsv over the documents of the cell.",
)
@device_option
@trust_option
@json_option
def check(cell: str, data: Path, device: str, trust_remote_code: bool, as_json: bool) -> None:
    """Exit with 1 when CELL no longer beats `none` beyond noise, on queries that it has not learnt from."""
    from bench.ship.check import check
    from bench.show import print_checked

    artefact = _opened(cell, device, trust_remote_code, quiet=as_json)
    sys.exit(0 if print_checked(check(artefact, data), as_json) else FAILED)


def _opened(cell: str, device: str, trust_remote_code: bool, *, quiet: bool) -> Artefact:
    from bench.device import open_device
    from bench.ship.artefact import find_cell, open_artefact
    from bench.terminal import waiting

    named = find_cell(cell)
    with waiting(f"opening {cell}", quiet=quiet):
        return open_artefact(named, open_device(device), trust_remote_code=trust_remote_code)
