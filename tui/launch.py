"""Opens the dashboard."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from qgjob.errors import UsageError
from tui.actions.bindings import ACTIONS
from tui.app import DashboardApp
from tui.platform import gc_tuning, strip_patches
from tui.settings import Settings, read_settings, settings_path
from tui.store.orders import ORDERS

if TYPE_CHECKING:
    from qgjob.config import ServerOptions

_SWITCH_S = 0.001


def run(options: ServerOptions, *, read_only: bool, settings: Settings | None = None) -> int:
    """Show the dashboard until it is left; returns the exit code.

    Raises `UsageError` when there is no terminal, and `NotAllowedError` or `UsageError` when the
    server refuses the credentials or the address cannot be one.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "The dashboard needs a terminal.",
            hint="In scripts use `qgjob status`, `qgjob list --json` or `qgjob queue status`.",
        )
    for name in ("COLUMNS", "LINES"):  # the terminal's own size counts, which follows when it is resized
        os.environ.pop(name, None)
    return show(options, read_only=read_only, settings=settings)


def show(options: ServerOptions, *, read_only: bool, settings: Settings | None = None) -> int:
    """Show the dashboard wherever Textual draws to: a terminal, or a page in a browser; as `run`."""
    settings = settings or read_settings(
        settings_path(os.environ),
        actions=[action.id for action in ACTIONS],
        orders=ORDERS,
        needed="QGJOB_TUI_CONFIG" in os.environ,
    )
    read_only = read_only or settings.read_only
    app = DashboardApp(options, read_only=read_only, settings=settings)
    gc_tuning.configure()
    strip_patches.apply_patches()
    # Keys are read and the screen is written by threads; while something is worked out, they should not wait
    # 5 ms each time for the interpreter.
    sys.setswitchinterval(_SWITCH_S)
    try:
        app.run()
    finally:
        gc_tuning.restore_defaults()
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0
