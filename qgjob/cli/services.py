"""Commands that are services with a command line of their own: their options are passed on."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, Final

from qgjob.cli.session import Session

PASSED_ON: Final[dict[str, Any]] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
"""Settings of such a command, `--help` included."""


def wants_help(args: Sequence[str], parser: Callable[[], argparse.ArgumentParser], name: str) -> bool:
    """Whether a service is asked for its help, which is printed then as that of all commands is."""
    if not {"-h", "--help"}.intersection(args):
        return False
    from qgjob.cli.display.output import Output
    from qgjob.cli.help.command_docs import describe_parser
    from qgjob.cli.help.help_text import help_text

    Output().line(help_text(describe_parser(parser(), name)))
    return True


def with_globals(session: Session, args: Sequence[str]) -> list[str]:
    """The arguments of a service, with what the global options said of the server."""
    options = (f"--{name.replace('_', '-')}={value}" for name, value in session.global_options().items())
    return [*args, *options]
