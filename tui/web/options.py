"""Where the dashboard's pages are served, to whom, and what they may change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qgjob.callers import LOOPBACK, is_loopback, place_of
from qgjob.errors import UsageError
from qgjob.tokenfile import read_token_file

DEFAULT_PORT: Final = 8200


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """How to serve; made by `web_options`, which sees to it that a token is there where one is needed."""

    host: str = LOOPBACK
    port: int = DEFAULT_PORT
    """0: any that is free."""
    token: str | None = None
    """What a browser must show before it sees anything."""
    allow_actions: bool = False
    """Whether the pages may change something: cancel, retry, drain."""


def web_options(
    *, listen: str | None, port: int | None, token_file: Path | None, allow_actions: bool
) -> WebOptions:
    """Read the options of the command line.

    Raises `UsageError` when they contradict each other, when the token cannot be used, and when other
    machines could reach the pages without one.
    """
    host, port = place_of(listen, port)
    token = None if token_file is None else read_token_file(token_file.expanduser())
    if token is None and not is_loopback(host):
        raise UsageError(
            f"--listen {listen} without a token would show the lab to everybody on the network.",
            hint="Make a token and give its file: (umask 077; python3 -c 'import secrets; "
            "print(secrets.token_urlsafe(32))' > web.token), then --token web.token.",
        )
    port = DEFAULT_PORT if port is None else port
    return WebOptions(host=host, port=port, token=token, allow_actions=allow_actions)
