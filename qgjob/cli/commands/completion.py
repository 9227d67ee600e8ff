"""`qgjob completion`: the script with which a shell completes commands, options and live ids."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from qgjob.cli.choices import checked_choice
from qgjob.cli.help.completing import one_of
from qgjob.cli.session import session_of

app = typer.Typer(add_completion=False)

SHELLS: Final = ("bash", "zsh", "fish")


@app.command()
def completion(
    ctx: typer.Context,
    shell: Annotated[
        str | None,
        typer.Argument(
            metavar="SHELL",
            help="bash, zsh or fish; else your login shell.",
            show_default=False,
            autocompletion=one_of(*SHELLS),
        ),
    ] = None,
) -> None:
    """Print the script that completes commands, options, and ids of jobs, runs and agents in your shell.

    `qgjob --install-completion` installs it. The lab is asked for ids, for half a second at most.
    """
    # Typer's own scripts: what answers them is its as well.
    from typer._completion_shared import get_completion_script

    shell = checked_choice("SHELL", shell or Path(os.environ.get("SHELL", "")).name, SHELLS)
    script = get_completion_script(prog_name="qgjob", complete_var="_QGJOB_COMPLETE", shell=shell)
    session_of(ctx).out.line(script)
