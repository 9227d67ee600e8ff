"""Deduplicates work that several callers wait for at once, such as a download or an installation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class SharedWork:
    """Tasks by key. One who stops waiting does not stop the work for the others, unless nobody is left."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._running

    def __len__(self) -> int:
        return len(self._running)

    async def wait_for(
        self,
        key: str,
        work: Callable[[], Coroutine[None, None, None]],
        *,
        name: str,
        alone: Callable[[], bool],
        stopped: bool = False,
    ) -> None:
        """Wait for the work of a key, which is begun unless it is under way; raises what it raises.

        `alone` says whether nobody else wants it: then a cancelled caller ends it, with `stopped` before it
        goes on itself.
        """
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(work(), name=name)
            task.add_done_callback(lambda task: self._is_over(key, task))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if alone():
                self._is_over(key, task)  # it takes a while to end: a request meanwhile needs a new one
                task.cancel()
                if stopped:
                    await asyncio.wait((task,))
            raise

    async def close(self) -> None:
        """End what is under way."""
        tasks = [*self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_over(self, key: str, task: asyncio.Task[None]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
