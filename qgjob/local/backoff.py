"""How long to wait before a child that died is started again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Doubles from `first_s` to `longest_s`; starts over after a life of `settled_s`."""

    first_s: float = 0.25
    longest_s: float = 15.0
    settled_s: float = 30.0
    _next_s: float = 0.0

    def after(self, lived_s: float) -> float:
        """Return the seconds to wait after a life of `lived_s` seconds (0: it did not even start)."""
        if lived_s >= self.settled_s or self._next_s == 0.0:
            self._next_s = self.first_s
        wait, self._next_s = self._next_s, min(self._next_s * 2, self.longest_s)
        return wait
