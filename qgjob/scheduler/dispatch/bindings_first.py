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


class BindingsFirst:
    """The slots that were bound and have no job yet. Less urgent senders wait for them, but not for long."""

    def __init__(self) -> None:
        self._unsent: set[str] = set()
        self._unbegun: set[str] = set()
        self._all_sent = asyncio.Event()
        self._begun = asyncio.Event()
        self._all_sent.set()
        self._begun.set()

    def on_bound(self, slot: str) -> None:
        """Note that a slot's binding is to be sent."""
        self._unsent.add(slot)
        self._unbegun.add(slot)
        self._all_sent.clear()
        self._begun.clear()

    def on_binding_sent(self, slot: str) -> None:
        """Note that it was sent."""
        self._unsent.discard(slot)
        if not self._unsent:
            self._all_sent.set()

    def on_started(self, slot: str) -> None:
        """Note that the slot has a job, or is gone."""
        self.on_binding_sent(slot)
        self._unbegun.discard(slot)
        if not self._unbegun:
            self._begun.set()

    async def until_bindings_sent(self) -> None:
        """Wait until all bindings were sent, but not for long."""
        if self._unsent and not await set_within(self._all_sent, AT_MOST_S):
            self._unsent.clear()
            self._all_sent.set()

    async def until_jobs_started(self) -> None:
        """Wait until all bound slots have a job, but not for long."""
        if self._unbegun and not await set_within(self._begun, AT_MOST_S):
            self._unbegun.clear()
            self._begun.set()
