"""Ctrl-C or SIGTERM while a command waits: detach from the jobs, or cancel them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from threading import Event
from types import FrameType
from typing import Final

from qgjob.cli.ci import in_ci, in_known_ci
from qgjob.cli.display.output import Output
from qgjob.cli.display.progress_note import progress_note
from qgjob.cli.session import Session, run
from qgjob.cli.waiting.ending import end_line
from qgjob.cli.waiting.waiting import WaitArguments, report_interrupted
from qgjob.errors import ExitCode, NotFoundError, QgjobError

_SAME_WITHIN_S: Final = 5.0


def detachable(session: Session, waiting: WaitArguments, work: Callable[[], int]) -> int:
    """Run `work`; Ctrl-C asks whether to cancel the jobs or to detach from them, and returns 130.

    In CI nobody can answer, and the build that wanted the result is gone: there they are cancelled at a
    SIGTERM, and in a CI that we know also at a SIGINT. What is on its way to the server is cancelled as well:
    it may arrive.
    """
    out = session.out
    ci = in_ci(os.environ)
    terminated = _interrupt_at_sigterm() if ci else Event()
    try:
        return work()
    except KeyboardInterrupt:
        state, any_id = waiting.state, waiting.state.any_id
        if state.exit_code is not None:
            return state.exit_code
        if any_id is None:
            out.note("Interrupted before anything was submitted.")
        elif state.ended is not None:
            out.note(f"Interrupted when all had ended: {end_line(state.ended)}")
            if ci:
                _debounce_signals()
                _complete_report(session, any_id, waiting)
        elif terminated.is_set() or in_known_ci(os.environ) or _wants_cancel(out):
            if ci:
                _debounce_signals()
            _cancel(session, any_id, waiting)
        else:
            if state.is_stored:
                out.note("Detached; the jobs go on.")
            else:
                out.note("Interrupted before the submit was confirmed: the jobs may be there, and go on.")
            out.note(f"Wait again with: qgjob wait {any_id}  (or end them: qgjob cancel {any_id})")
        return int(ExitCode.DETACHED)


def _interrupt_at_sigterm() -> Event:
    """An event that is set at a SIGTERM."""
    terminated = Event()

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        terminated.set()
        signal.raise_signal(signal.SIGINT)

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs beside it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, interrupt)
    return terminated


def _debounce_signals() -> None:
    """Ignore signals right after the first: a CI sends one to every process, and a shell passes it on."""
    heard_at = time.monotonic()

    def again(number: int, frame: FrameType | None) -> None:
        if time.monotonic() - heard_at > _SAME_WITHIN_S:
            signal.default_int_handler(number, frame)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, again)


def _wants_cancel(out: Output) -> bool:
    """Ask whether to cancel; no answer, or nobody to ask, means detach."""
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        return False
    out.note("Interrupted. Type c and Enter to cancel the jobs; Enter alone lets them go on.")
    try:
        return sys.stdin.readline().strip().lower() in {"c", "cancel"}
    except KeyboardInterrupt:
        return False


def _cancel(session: Session, any_id: str, waiting: WaitArguments) -> None:
    async def cancel() -> int:
        async with session.client() as client:
            left = progress_note(session.out, "cancelled")
            return len((await client.cancel(any_id, reason="interrupted", by="cli", on_left=left)).affected)

    try:
        count = run(cancel())
    except KeyboardInterrupt:
        session.out.note(f"Interrupted again, before the cancel was confirmed: qgjob cancel {any_id}")
        return
    except QgjobError as error:
        if isinstance(error, NotFoundError) and not waiting.state.is_stored:
            session.out.note(f"Interrupted before {any_id} was stored: nothing is left to cancel.")
        else:
            session.out.error(f"{any_id} could not be cancelled: {error.message}", error.hint)
        return
    jobs = "1 job was" if count == 1 else f"{count} jobs were"
    session.out.note(f"Interrupted: {jobs} cancelled of {any_id}.")
    _complete_report(session, any_id, waiting)


def _complete_report(session: Session, any_id: str, waiting: WaitArguments) -> None:
    with contextlib.suppress(KeyboardInterrupt, QgjobError):
        run(report_interrupted(session, any_id, waiting))
