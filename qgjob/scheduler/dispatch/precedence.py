"""Sends bindings before less urgent messages: a slot idles until the first job of its new build is there.

The events of four hundred jobs that have just come, for which nobody waits, would stand before its binding on
the connection, and keep the server and ourselves from it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from qgjob.waiting import set_within

AT_MOST_S: Final = 0.1
"""How long others wait: a slot that takes longer has a busy agent, or none."""


class Precedence:
    """The slots that were bound and have no job yet. Less urgent senders wait for them, but not for long."""

    def __init__(self) -> None:
        self._untold: set[str] = set()
        self._unbegun: set[str] = set()
        self._told = asyncio.Event()
        self._begun = asyncio.Event()
        self._told.set()
        self._begun.set()

    def bound(self, slot: str) -> None:
        """Note that a slot's binding is to be sent."""
        self._untold.add(slot)
        self._unbegun.add(slot)
        self._told.clear()
        self._begun.clear()

    def told(self, slot: str) -> None:
        """Note that it was sent."""
        self._untold.discard(slot)
        if not self._untold:
            self._told.set()

    def begun(self, slot: str) -> None:
        """Note that the slot has a job, or is gone."""
        self.told(slot)
        self._unbegun.discard(slot)
        if not self._unbegun:
            self._begun.set()

    async def until_told(self) -> None:
        """Wait until all bindings were sent, but not for long."""
        if self._untold and not await set_within(self._told, AT_MOST_S):
            self._untold.clear()
            self._told.set()

    async def until_begun(self) -> None:
        """Wait until all bound slots have a job, but not for long."""
        if self._unbegun and not await set_within(self._begun, AT_MOST_S):
            self._unbegun.clear()
            self._begun.set()
