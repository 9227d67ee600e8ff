"""How the last jobs of each slot ended: one that eats jobs stands out beside its neighbours."""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tui.store.job import Job

KEPT: Final = 10
MAX_SLOTS: Final = 5000
_COUNTED_STATES: Final = frozenset({"passed", "failed", "timed_out", "errored"})
"""What was cancelled says nothing of the slot."""

_End = tuple[float, str, int, str]


class SlotEnds:
    """By `agent/slot`: the last ends by their times, whatever order they are told in, and however often."""

    def __init__(self) -> None:
        self._ends: dict[str, list[_End]] = {}

    def record(self, job: Job) -> None:
        """Take in how the attempts of a job ended."""
        for facts in job.attempts:
            end = facts.end
            if end is None or not end.agent or not end.slot or end.state not in _COUNTED_STATES:
                continue
            ends = self._ends.setdefault(f"{end.agent}/{end.slot}", [])
            mine = (end.at, job.job_id, facts.number, end.state)
            if len(ends) < KEPT or mine > ends[0]:
                ends[:] = [one for one in ends if one[1:3] != mine[1:3]]
                insort(ends, mine)
                del ends[:-KEPT]
        while len(self._ends) > MAX_SLOTS:
            del self._ends[next(iter(self._ends))]

    def of(self, place: str) -> list[str]:
        """The states in which the last jobs of a slot ended, at most ten, the newest last."""
        return [state for *_, state in self._ends.get(place, ())]

    def not_passed(self, place: str) -> int:
        """How many of them did not pass."""
        return sum(state != "passed" for state in self.of(place))
