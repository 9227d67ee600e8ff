"""Waiting for a condition with a deadline: the only way a test waits."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from qgjob.errors import UnreachableError

T = TypeVar("T")

#: Seconds between two looks at the condition.
POLL_S = 0.005


async def wait_for(condition: Callable[[], T | Awaitable[T]], timeout: float = 30.0, what: str = "") -> T:
    """Look at `condition` (plain or async) until it returns something true, and return that.

    Fails the test after `timeout` seconds, naming `what` and the last value seen. An
    AssertionError inside the condition counts as "not yet", so it may use `assert`; so does that
    nobody answers just now, as where a scheduler was killed and the next one is on its way.
    """
    deadline = time.monotonic() + timeout
    pause = POLL_S
    while True:
        seen: object
        try:
            result = condition()
            value = cast("T", await result if inspect.isawaitable(result) else result)
        except (AssertionError, UnreachableError) as error:
            seen = error
        else:
            if value:
                return value
            seen = value
        if time.monotonic() > deadline:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"waited {timeout} s in vain for {name}; last seen: {seen!r}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.1)
