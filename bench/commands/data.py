"""Commands about what there is, and about bringing in one's own."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.commands.options import FAILED, columns, json_option


@click.command("list")
@click.argument("what", type=click.Choice(["methods", "datasets", "encoders", "suites"]))
@json_option
def list_(what: str, as_json: bool) -> None:
    """List what can be named on the command line and in suites."""
    from bench.listing import LISTS
    from bench.terminal import print_rows

    print_rows(LISTS[what](), as_json)


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check this installation: packages, devices, the embedded model, the cache."""
    from bench.doctor import examine
    from bench.terminal import print_rows

    found = examine()
    print_rows(found, as_json)
    sys.exit(FAILED if any(row["state"] == "broken" for row in found) else 0)


@click.command("import")
@click.argument("judgements", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--documents", type=click.Path(path_type=Path), metavar="FILE", help="Columns id, text and, if there is one, title."
)
@click.option(
    "--columns",
    "named",
    callback=columns,
    metavar="query=A,document=B",
    help="Which column of FILE is what, where its name does not tell: query, query_id, document, clicks or rating.",
)
@click.option(
    "--relevant-from",
    type=float,
    default=1.0,
    show_default=True,
    metavar="N",
    help="The lowest rating that makes a document relevant, with grade 1; each point more is a grade more.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="The BEIR folder to write.")
@json_option
def import_(
    judgements: Path, documents: Path | None, named: dict[str, str], relevant_from: float, out: Path, as_json: bool
) -> None:
    """Write a BEIR folder from what you have.

    FILE is a CSV, TSV, JSON lines or Parquet file, or a folder of Hugging Face datasets. With --documents its rows name
    a query and the id of a document, and may count clicks or give a rating; without, they are pairs of a query and
    the text of a document. A BEIR folder is checked and copied. What is left out is listed with the reason, and so
    are queries and documents that say nearly the same.

    Grades: clicks on a document by those on its query's most clicked one: 3 from a half on, 2 from a fifth, 1 from a
    twentieth. Ratings: see --relevant-from; the mean counts where a pair has several. Neither: every pair has 1.
    """
    from bench.data.imported import import_folder
    from bench.data.judgements import Source
    from bench.show import print_imported
    from bench.terminal import waiting

    with waiting(f"reading {judgements}", quiet=as_json):
        imported = import_folder(Source(judgements, documents, named, relevant_from), out)
    print_imported(imported, out, as_json)
