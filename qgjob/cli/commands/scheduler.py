"""`qgjob scheduler`: one replica."""

from __future__ import annotations

import typer

from qgjob.cli.services import PASSED_ON, wants_help, with_globals
from qgjob.cli.session import session_of

app = typer.Typer(add_completion=False)


@app.command(context_settings=PASSED_ON, add_help_option=False)
def scheduler(ctx: typer.Context) -> None:
    """Run a replica of the scheduler; any number may run, one leads."""
    from qgjob.scheduler.__main__ import main, parser

    if wants_help(ctx.args, parser, "scheduler"):
        return
    raise typer.Exit(main(with_globals(session_of(ctx), ctx.args)))
