"""The command `tunebench`. Nothing heavy is imported before a subcommand needs it."""

from __future__ import annotations

import sys
from typing import Any

import click

from bench.commands.data import doctor, import_, list_
from bench.commands.results import compare, dashboard, diff, push, report, status
from bench.commands.run import recommend, run, sweep
from bench.commands.ship import check, export, update

BAD_INPUT = 2
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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tunebench")
def main() -> None:
    """Compares ways of fine-tuning embeddings on your data: what they gain, what they cost, and whether it is real."""


for command in (
    *(recommend, run, import_, report, compare, diff, status),
    *(export, update, check),
    *(list_, doctor, sweep, push, dashboard),
):
    main.add_command(command)
