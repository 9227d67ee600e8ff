"""A slot that was given another build goes first: until its first job is there, it idles.

What nobody waits for, such as the events of four hundred jobs that have just come, would stand before its
binding on the connection, and keep the server and ourselves from it.
"""

from __future__ import annotations

import asyncio
from typing import Final

AT_MOST_S: Final = 0.1
"""Who waits longer than that is not helped by haste: its agent is busy, or gone."""


class Precedence:
    """The slots that were bound and have not begun. Others let them go first, for a while."""

    def __init__(self) -> None:
        self._untold: set[str] = set()
        self._unbegun: set[str] = set()
        self._told = asyncio.Event()
        self._begun = asyncio.Event()
        self._told.set()
        self._begun.set()

    def bound(self, slot: str) -> None:
        """A slot is to be told of another build."""
        self._untold.add(slot)
        self._unbegun.add(slot)
        self._told.clear()
        self._begun.clear()

    def told(self, slot: str) -> None:
        """It was told."""
        self._untold.discard(slot)
        if not self._untold:
            self._told.set()

    def begun(self, slot: str) -> None:
        """It has a job, or is gone."""
        self.told(slot)
        self._unbegun.discard(slot)
        if not self._unbegun:
            self._begun.set()

    async def until_told(self) -> None:
        """Wait until all of them were told, but not for long."""
        if self._untold and not await _soon(self._told):
            self._untold.clear()
            self._told.set()

    async def until_begun(self) -> None:
        """Wait until all of them have a job, but not for long."""
        if self._unbegun and not await _soon(self._begun):
            self._unbegun.clear()
            self._begun.set()


async def _soon(event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(AT_MOST_S):
            await event.wait()
    except TimeoutError:
        return False
    return True
