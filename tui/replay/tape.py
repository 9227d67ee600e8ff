"""What happened, as it can be played again: events in the order of time, and a store they fill.

The stream keeps of an attempt that ended only its end, which carries the whole of it: when it was
taken and when the test began is read from there, and put back into its place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from bus_schemas.events import Ended, Running, Started
from tui.store.store import Store

if TYPE_CHECKING:
    from bus_schemas.events import AnyEvent

MAX_EVENTS: Final = 400_000
"""More are not kept in memory: the oldest go."""


_PARTS: Final = 3


class Moment(NamedTuple):
    """An event at its time."""

    at: float
    seq: int
    event: AnyEvent


class Tape:
    """Events by time."""

    def __init__(self) -> None:
        self._moments: list[Moment] = []
        self._times: list[float] = []
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._moments)

    @property
    def begin(self) -> float:
        """When the first event was; 0 of an empty tape."""
        return self._times[0] if self._times else 0.0

    @property
    def end(self) -> float:
        """When the last event was."""
        return self._times[-1] if self._times else 0.0

    def record(self, moments: Iterable[Moment], *, since: float = 0.0) -> None:
        """Take in events of the stream in any order; what is older than `since` counts as being then."""
        for moment in moments:
            for part in expanded(moment):
                self._moments.append(part if part.at >= since else part._replace(at=since))
        self._moments.sort(key=lambda moment: moment[:2])
        over = len(self._moments) - MAX_EVENTS
        if over > 0:
            del self._moments[:over]
            self.dropped += over
        self._times = [moment.at for moment in self._moments]

    def place(self, at: float) -> int:
        """How many events there are up to a time."""
        return bisect_right(self._times, at)

    def between(self, first: int, last: int) -> list[Moment]:
        """Events by their places."""
        return self._moments[first:last]

    def at(self, place: int) -> float:
        """The time of a place; of one behind the last, the end."""
        return self._times[place] if place < len(self._times) else self.end


def expanded(moment: Moment) -> Iterator[Moment]:
    """An event, and before an end the links of its chain that it replaced."""
    at, seq, event = moment
    seq *= _PARTS  # what is put back keeps its order within the attempt
    result = event.result if isinstance(event, Ended) else None
    if isinstance(event, Ended) and result is not None and result.agent and result.slot:
        about = {
            "org_id": event.org_id,
            "run_id": event.run_id,
            "job_id": event.job_id,
            "attempt": event.attempt,
        }
        if result.started_at:
            yield Moment(
                min(result.started_at, at),
                seq - 2,
                Started.model_validate(
                    {
                        **about,
                        "at": result.started_at,
                        "nonce": event.nonce,
                        "agent": result.agent,
                        "slot": result.slot,
                        "device": result.device,
                        "app_version_id": event.app_version_id,
                        "phase": "preparing",
                        "takeovers": result.takeovers,
                    }
                ),
            )
        if result.running_at:
            yield Moment(
                min(result.running_at, at),
                seq - 1,
                Running.model_validate(
                    {
                        **about,
                        "at": result.running_at,
                        "installed": result.installed,
                        "takeovers": result.takeovers,
                    }
                ),
            )
    yield Moment(at, seq, event)


class Player:
    """Plays a tape into a store: onwards by hearing more, backwards by hearing all again."""

    def __init__(self, tape: Tape, store: Store) -> None:
        self.tape = tape
        self.store = store
        self.place = 0
        """How many events were heard."""

    def go_to(self, place: int, budget: int = 5000) -> bool:
        """Hear some events on the way to a place; returns whether there are more to hear."""
        place = max(0, min(place, len(self.tape)))
        if place < self.place:
            self.store.reset(since=self.tape.begin)
            self.place = 0
        stop = min(place, self.place + budget)
        for moment in self.tape.between(self.place, stop):
            self.store.apply_event(moment.event, moment.seq, at=moment.at)
        self.place = stop
        return stop < place
