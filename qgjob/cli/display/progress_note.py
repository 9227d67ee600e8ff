"""The progress message while the scheduler changes many jobs: it has the request, and keeps it."""

from __future__ import annotations

from collections.abc import Callable

from qgjob.cli.display.output import Output


def progress_note(out: Output, done: str) -> Callable[[int], None]:
    """Say once how many jobs are still to be `done` (such as `cancelled`), and that the scheduler goes on."""
    noted = False

    def on_left(left: int) -> None:
        nonlocal noted
        if not noted:
            noted = True
            jobs = "1 job is" if left == 1 else f"{left} jobs are"
            out.note(
                f"About {jobs} still to be {done}. The scheduler goes on even if this command is stopped."
            )

    return on_left
