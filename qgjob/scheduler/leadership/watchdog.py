"""Ends the process when a reign is over and does not close, so that whoever runs it starts it again.

Such a replica would live on, answer, and dispatch nothing, with nobody to take over from it where it is the
only one. It cannot be ended in order: what hangs is what would have to be waited for.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Final

from qgjob.errors import ExitCode

log = logging.getLogger(__name__)

CLOSES_WITHIN_S: Final = 10
_SHOWN: Final = 5


async def watch(over: asyncio.Event, epoch: int, *, end: Callable[[], None]) -> None:
    """Once the reign is over, give it time to close, then call `end`; cancelled when it has closed."""
    await over.wait()
    for _ in range(CLOSES_WITHIN_S):
        await asyncio.sleep(1)  # if the process stood still, that counts as one second
    log.critical(
        "the reign of epoch %d is over and has not closed within %d s (%s): the process ends, "
        "to be started again",
        epoch,
        CLOSES_WITHIN_S,
        "; ".join(_hanging_tasks()),
    )
    end()


async def signalling(over: asyncio.Event, duty: Awaitable[None]) -> None:
    """Run a duty that lasts as long as the reign, and set `over` when it ends."""
    try:
        await duty
    finally:
        over.set()


def end_process() -> None:
    """End the process at once; what was logged is written."""
    logging.shutdown()
    os._exit(int(ExitCode.ERROR))


def _hanging_tasks() -> list[str]:
    """The tasks that were cancelled and go on, and where they stand."""
    found: list[str] = []
    for task in asyncio.all_tasks():
        if task.cancelling() and not task.done():
            stack = task.get_stack(limit=1)
            where = f" in {stack[0].f_code.co_qualname}" if stack else ""
            found.append(f"{task.get_name()}{where}")
    return sorted(found)[:_SHOWN] or ["nothing of it was cancelled"]
