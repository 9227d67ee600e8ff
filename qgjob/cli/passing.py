"""Commands that are services with a command line of their own: their options are passed on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from qgjob.cli.session import Session

PASSED_ON: Final[dict[str, Any]] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
"""Settings of such a command, `--help` included."""


def with_globals(session: Session, args: Sequence[str]) -> list[str]:
    """The arguments of a service, with what the global options said of the server."""
    passed = list(args)
    if session.server:
        passed += ["--server", session.server]
    if session.creds:
        passed += ["--creds", session.creds]
    return passed
