"""Runs an install with a timeout, counts it, and turns errors into an `InstallResult`: for all drivers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from agent.archive import disk_reason
from agent.drivers.base import InstallCounters, InstallResult
from agent.errors import JobError
from qgjob.clock import Clock


async def timed_install(
    bring: Awaitable[bool], counters: InstallCounters, clock: Clock, *, timeout_s: float
) -> InstallResult:
    """`bring` puts the build onto the device; False: it was there already.

    A `JobError` of its own is the result's; being late is `install_timeout`, what the disk does `disk_full`
    or `disk_error`.
    """
    began = clock.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            made = await bring
    except TimeoutError:
        text = f"the install was not done within {timeout_s:g} s"
        error = JobError(text, reason="install_timeout", retryable=True)
    except JobError as refused:
        error = refused
    except OSError as disk:
        text = f"the build could not be read or written: {disk.strerror or disk}"
        error = JobError(text, reason=disk_reason(disk), retryable=True)
    else:
        duration_s = clock.monotonic() - began
        counters.made += made
        counters.skipped += not made
        counters.seconds += duration_s if made else 0
        return InstallResult(ok=True, skipped=not made, duration_s=duration_s)
    counters.failed += 1
    return InstallResult(
        ok=False,
        duration_s=clock.monotonic() - began,
        reason=error.reason,
        detail=error.message,
        retryable=error.retryable,
    )
