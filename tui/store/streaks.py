"""How many infrastructure errors in a row each slot met, as far as was heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bus_schemas.events import Ended

_KEPT = 10
MAX_SLOTS = 5000


class Streaks:
    """By `agent/slot`: the last ends with their places in the stream, whatever order they are heard in."""

    def __init__(self) -> None:
        self._ends: dict[str, list[tuple[int, bool]]] = {}

    def hear(self, event: Ended, seq: int) -> None:
        """Take in an end."""
        result = event.result
        if not result.agent or not result.slot:
            return
        place = f"{result.agent}/{result.slot}"
        ends = self._ends.setdefault(place, [])
        mine = (seq, event.state == "errored")
        if mine in ends:
            return
        ends.append(mine)
        ends.sort()
        del ends[:-_KEPT]
        while len(self._ends) > MAX_SLOTS:
            del self._ends[next(iter(self._ends))]

    def of(self, place: str) -> int:
        """Errors since the slot last ran a test to its end, at most ten."""
        count = 0
        for _, errored in reversed(self._ends.get(place, ())):
            if not errored:
                break
            count += 1
        return count
