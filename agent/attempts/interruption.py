"""Ends a running attempt early (cancel, timeout, lost lease, …), and remembers why."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator
from typing import Any

from agent.attempts.processes import SlotProcesses
from agent.launch import EndReason


class Interruption:
    """Ends the attempt that a slot runs now; the first reason counts, later ones are ignored."""

    def __init__(self, processes: SlotProcesses) -> None:
        self._processes = processes
        self._task: asyncio.Task[Any] | None = None
        self.reason: EndReason | None = None
        self.why = ""

    def reset(self) -> None:
        """An attempt is about to be claimed: what is asked for from now on concerns it."""
        self.reason, self.why = None, ""

    @contextlib.contextmanager
    def attempt_task(self, task: asyncio.Task[Any]) -> Generator[None]:
        """Within the block, this task runs the attempt; an earlier request to end it takes effect at once."""
        self._task = task
        if self.reason is not None:
            task.cancel()
        try:
            yield
        finally:
            self._task = None

    def end(self, reason: EndReason, why: str) -> None:
        """End the attempt. Before it has begun, it will end as soon as it does."""
        if self.reason is not None:
            return
        self.reason, self.why = reason, why
        if self._task is not None and not self._processes.end(reason):
            self._task.cancel()

    def record_end(self, reason: EndReason, why: str) -> None:
        """Note that the supervisor ended the process by itself."""
        if self.reason is None:
            self.reason, self.why = reason, why

    @contextlib.contextmanager
    def deadline(self, seconds: float, reason: EndReason, why: str) -> Generator[None]:
        """End the attempt when the block takes longer."""
        timer = asyncio.get_running_loop().call_later(seconds, self.end, reason, why)
        try:
            yield
        finally:
            timer.cancel()
