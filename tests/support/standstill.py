"""Processes that stand still for a while."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncGenerator

import psutil

from tests.support.wait import wait_for


@contextlib.asynccontextmanager
async def standing_still(*pids: int) -> AsyncGenerator[None]:
    """Have these processes stopped (SIGSTOP) for the time of a block; they may have ended at its end.

    A signal is on its way when `kill` returns: on a busy machine the process has gone on for 10 ms and more,
    and answered.
    """
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for pid in pids:
            stopped = psutil.Process(pid)
            await wait_for(lambda stopped=stopped: stopped.status() == psutil.STATUS_STOPPED, 10, "a stop")
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
