"""Serves the dashboard to browsers, if what that needs is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from qgjob.errors import UsageError
from qgjob.serve import serve

if TYPE_CHECKING:
    from qgjob.config import ServerOptions
    from tui.web.options import WebOptions


def serve_pages(server: ServerOptions, options: WebOptions) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises `UsageError` without textual-serve."""
    if find_spec("textual_serve") is None:
        raise UsageError(
            "The dashboard in a browser needs textual-serve, which is not installed.",
            hint="Install it: pip install 'qgjob[web]'",
        )
    from tui.web.server import run_web

    return serve(lambda stop, ready: run_web(server, options, stop=stop, ready=ready))
