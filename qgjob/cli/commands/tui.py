"""`qgjob tui`: the live dashboard, in the terminal or in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qgjob.cli.options import option, was_given
from qgjob.cli.session import session_of

app = typer.Typer(add_completion=False)

_WEB = "In a browser"


@app.command()
def tui(
    ctx: typer.Context,
    read_only: Annotated[bool, option("--read-only", help="Look only: no key changes anything.")] = False,
    web: Annotated[
        bool,
        option("--web", help="Serve it to browsers on this machine, read-only.", panel=_WEB, envvar=None),
    ] = False,
    port: Annotated[
        int | None,
        option("--port", metavar="N", help="The port (8200; 0: any).", panel=_WEB, envvar="QGJOB_WEB_PORT"),
    ] = None,
    listen: Annotated[
        str | None,
        option(
            "--listen",
            metavar="ADDR",
            help="Serve other machines too: HOST or HOST:PORT; needs --token.",
            panel=_WEB,
            envvar="QGJOB_WEB_LISTEN",
        ),
    ] = None,
    token: Annotated[
        Path | None,
        option(
            "--token",
            metavar="FILE",
            help="A file with a secret that browsers are asked for.",
            panel=_WEB,
            envvar="QGJOB_WEB_TOKEN",
        ),
    ] = None,
    allow_actions: Annotated[
        bool,
        option(
            "--allow-actions",
            help="Let the pages change things: cancel, retry, drain.",
            panel=_WEB,
            envvar=None,
        ),
    ] = False,
) -> None:
    """Open the live dashboard: queues, agents, jobs and their logs."""
    from qgjob.errors import UsageError

    options = session_of(ctx).server_options("qgjob tui")
    if not web:
        from tui.platform import gc_tuning

        gc_tuning.disable_until_started()
        try:
            from tui.launch import run

            for name in ("port", "listen", "token", "allow_actions"):
                if was_given(ctx, name):
                    flag = name.replace("_", "-")
                    raise UsageError(f"--{flag} is for --web.", hint="Add --web to open it in a browser.")
            raise typer.Exit(run(options, read_only=read_only))
        finally:
            gc_tuning.restore_defaults()
    if read_only and allow_actions:
        raise UsageError("--read-only and --allow-actions exclude each other.")
    from tui.web.launch import serve_pages
    from tui.web.options import web_options

    chosen = web_options(listen=listen, port=port, token_file=token, allow_actions=allow_actions)
    raise typer.Exit(serve_pages(options, chosen))
