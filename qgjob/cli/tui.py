"""`qgjob tui`: the live dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from qgjob.cli.options import option
from qgjob.cli.session import session_of

app = typer.Typer(add_completion=False)


@app.command()
def tui(
    ctx: typer.Context,
    read_only: Annotated[bool, option("--read-only", help="Look only: no key changes anything.")] = False,
) -> None:
    """Open the live dashboard: queues, agents, jobs and their logs."""
    from tui.launch import run

    options = session_of(ctx).server_options("qgjob tui")
    raise typer.Exit(run(options, read_only=read_only))
