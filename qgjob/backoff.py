"""How long to wait before something that failed is tried again: twice as long each time, up to a limit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Doubles from `first_s` to `longest_s`; starts over after a success of `settled_s`.

    The defaults are for requests to a server that is away or restarting.
    """

    first_s: float = 0.1
    longest_s: float = 2.0
    settled_s: float = 30.0
    _next_s: float = 0.0

    def after(self, lasted_s: float) -> float:
        """Return the seconds to wait after it worked for `lasted_s` seconds (0: not at all)."""
        if lasted_s >= self.settled_s or self._next_s == 0.0:
            self._next_s = self.first_s
        wait, self._next_s = self._next_s, min(self._next_s * 2, self.longest_s)
        return wait

    async def wait(self) -> None:
        """Sleep after a try that did not work at all."""
        await asyncio.sleep(self.after(0))
