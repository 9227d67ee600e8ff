"""What the long-running processes share: logging, signals, readiness, an exit code."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from qgjob.errors import QgjobError, UsageError
from qgjob.logs import set_up_logging
from qgjob.ready import announce_ready

Service = Callable[[asyncio.Event, asyncio.Event], Coroutine[Any, Any, None]]
"""Runs until its first event is set, or is cancelled then where it has not set its second: it is ready."""


def serve(service: Service) -> int:
    """Run a service until SIGTERM or SIGINT; returns the exit code."""
    try:
        set_up_logging(os.environ, sys.stderr)
    except UsageError as error:
        logging.getLogger(__name__).error("%s", error.message)  # noqa: TRY400
        return int(error.exit_code)
    calm_collector()
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(service))
    except QgjobError as error:
        said = error.message if error.message.endswith(".") else f"{error.message}."
        logging.getLogger(__name__).error("%s%s", said, f" {error.hint}" if error.hint else "")  # noqa: TRY400
        return int(error.exit_code)
    except KeyboardInterrupt:
        return 0
    return 0


def calm_collector() -> None:
    """Let the garbage collector run seldom, and never look at what exists by now.

    Services allocate many short-lived objects; a collection every 700 of them costs a tenth of a core.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


def refused(error: QgjobError) -> int:
    """Report why a service cannot start with its options; returns the exit code."""
    print(f"{error.message}\n{error.hint or ''}".rstrip(), file=sys.stderr)  # noqa: T201 - for people
    return int(error.exit_code)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop to use: uvloop where it exists, for half the cost of a message."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(service: Service) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    announcing = asyncio.create_task(_announce(ready))
    serving = asyncio.ensure_future(service(stop, ready))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not serving.done() and not ready.is_set():  # it may wait for a server, and has nothing to finish
            serving.cancel()
            await asyncio.wait((serving,))
            if serving.cancelled():
                return
        await serving
    finally:
        for task in (announcing, stopped, serving):
            task.cancel()


async def _announce(ready: asyncio.Event) -> None:
    await ready.wait()
    announce_ready(os.environ)
