"""Reports the progress of a download: nothing for a quick one, one line per second for others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

QUIET_S: Final = 2.0
EVERY_S: Final = 1.0

Transferred = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all; a try that is repeated starts at 0 again."""

Tell = Callable[[str], Awaitable[None]]
"""Says a line to whoever watches the job."""


@contextlib.asynccontextmanager
async def throttled_progress(
    tell: Tell, *, quiet_s: float = QUIET_S, every_s: float = EVERY_S
) -> AsyncGenerator[Transferred]:
    """Say how far the download of a block has come; gives what is to be called as it gets on.

    Nothing is said within the first `quiet_s` seconds, then at most a line in `every_s`, and none
    that says the same as the last.
    """
    reached: tuple[int, int] | None = None

    def heard(done: int, total: int) -> None:
        nonlocal reached
        reached = done, total

    async def say() -> None:
        said: str | None = None
        await asyncio.sleep(quiet_s)
        while True:
            if reached is not None and (text := progress_text(*reached)) != said:
                await tell(text)
                said = text
            await asyncio.sleep(every_s)

    task = asyncio.create_task(say(), name="download progress")
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def progress_text(done: int, total: int) -> str:
    """As people read it: `fetched 12.0 of 80.0 MiB (15 %)`."""
    part, unit = (2**20, "MiB") if total >= 2**20 else (2**10, "KiB")
    percent = min(100, 100 * done // total) if total else 100
    return f"fetched {done / part:.1f} of {total / part:.1f} {unit} ({percent} %)"
