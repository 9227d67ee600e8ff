"""Ctrl-C while something is waited for: a detaching at a desk, a cancel in CI."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Generator

from qgjob.cli.ci import in_ci
from qgjob.cli.goingon import going_on
from qgjob.cli.output import Output
from qgjob.cli.session import Session, run
from qgjob.errors import ExitCode, QgjobError


def detachable(session: Session, resume: Callable[[], str | None], work: Callable[[], int]) -> int:
    """Run `work`; Ctrl-C asks whether to cancel the jobs or to detach from them, and returns 130.

    In CI nobody can answer, and the build that wanted the result is gone: there they are cancelled,
    also at a SIGTERM. `resume` gives the id that is waited for, None while nothing was submitted.
    """
    out = session.out
    ci = in_ci(os.environ)
    try:
        with _interrupted_by_sigterm(ci):
            return work()
    except KeyboardInterrupt:
        any_id = resume()
        if any_id is None:
            out.note("Interrupted before the submit was confirmed; `qgjob list` shows whether it is there.")
        elif ci or _wants_cancel(out):
            _cancel(session, any_id)
        else:
            out.note("Detached; the jobs go on.")
            out.note(f"Wait again with: qgjob wait {any_id}  (or end them: qgjob cancel {any_id})")
        return int(ExitCode.DETACHED)


@contextlib.contextmanager
def _interrupted_by_sigterm(wanted: bool) -> Generator[None]:
    if not wanted:
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        signal.raise_signal(signal.SIGINT)

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs beside it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wants_cancel(out: Output) -> bool:
    """Ask; whoever says nothing, or cannot be asked, detaches."""
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        return False
    out.note("Interrupted. Type c and Enter to cancel the jobs; Enter alone lets them go on.")
    try:
        return sys.stdin.readline().strip().lower() in {"c", "cancel"}
    except KeyboardInterrupt:
        return False


def _cancel(session: Session, any_id: str) -> None:
    async def cancel() -> int:
        async with session.client() as client:
            left = going_on(session.out, "cancelled")
            return len((await client.cancel(any_id, reason="interrupted", by="cli", on_left=left)).affected)

    try:
        count = run(cancel())
    except QgjobError as error:
        session.out.error(f"{any_id} could not be cancelled: {error.message}", error.hint)
    else:
        jobs = "1 job was" if count == 1 else f"{count} jobs were"
        session.out.note(f"Interrupted: {jobs} cancelled of {any_id}.")
