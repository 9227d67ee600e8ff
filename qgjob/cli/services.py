"""Commands that are services with a command line of their own: their options are passed on."""

from __future__ import annotations

import importlib
from typing import Any, Final

import typer

from qgjob.cli.session import session_of

_PASSED_ON: Final[dict[str, Any]] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
"""Settings of such a command, `--help` included."""


def service_app(name: str, module: str) -> typer.Typer:
    """The command of a service, whose module has `parser` and `main` and is imported when it is called.

    Its help is printed as that of all commands is, and the global options are among those passed on.
    """
    app = typer.Typer(add_completion=False)

    @app.command(name, context_settings=_PASSED_ON, add_help_option=False)
    def service(ctx: typer.Context) -> None:
        program = importlib.import_module(module)
        if {"-h", "--help"}.intersection(ctx.args):
            from qgjob.cli.help.command_docs import describe_parser
            from qgjob.cli.help.help_text import help_text

            session_of(ctx).out.line(help_text(describe_parser(program.parser(), name)))
            return
        said = session_of(ctx).global_options()
        options = (f"--{option.replace('_', '-')}={value}" for option, value in said.items())
        raise typer.Exit(program.main([*ctx.args, *options]))

    return app
