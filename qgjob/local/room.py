"""Warns of a full disk under nats-server, and starts the server again once there is room.

A stream that nats-server could not write to stays refused until the server is started again, however much
room there is by then. So it is started again when there is some. Nothing is lost by that: what was
acknowledged is stored, and everybody else tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from qgjob.clock import Clock
from qgjob.local.logs import ChildLog, NewText

ENOUGH_BYTES: Final = 64 * 2**20
"""With less than that the server would soon stand still again."""
_LOOK_S: Final = 1.0
_PATIENCE_S: Final = 30.0
"""Between two starts: where a quota is full, the disk's free bytes say nothing of it."""
_COULD_NOT_WRITE: Final = re.compile(rb"no space left on device|disk quota exceeded", re.IGNORECASE)


def free_bytes(path: Path) -> int:
    """How much is free where `path` lies."""
    return shutil.disk_usage(path).free


class RoomWatch:
    """Restarts a server that complained of a full disk, once there is room again."""

    def __init__(
        self,
        log: ChildLog,
        store: Path,
        *,
        start_again: Callable[[], Awaitable[None]],
        announce: Callable[[str], None],
        clock: Clock,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._new = NewText(log)
        self._store = store
        self._start_again = start_again
        self._announce = announce
        self._clock = clock
        self._free = free
        self._stuck = False
        self._not_before = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(OSError):  # what cannot be looked at now may be later
                await self.look()

    async def look(self) -> None:
        """Look once."""
        complained = any(_COULD_NOT_WRITE.search(text) for text in self._new.read())
        free = self._free(self._store)
        if complained and not self._stuck:
            self._stuck = True
            if free < ENOUGH_BYTES:
                self._announce(
                    f"The disk is full: nats-server cannot store anything in {self._store}. "
                    "Free some of it; until then submits are refused, and results wait in the agents."
                )
        now = self._clock.monotonic()
        if self._stuck and free >= ENOUGH_BYTES and now >= self._not_before:
            self._announce("There is room on the disk again; nats-server is started again to write there.")
            self._not_before = now + _PATIENCE_S
            await self._start_again()
            for _ in self._new.read():  # its last words are no news
                pass
            self._stuck = False
