"""The lab as it was: a tape of the event stream, a store of its own, and a clock that can be turned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from bus_schemas import streams, subjects
from bus_schemas.events import decode_event
from qgjob.bus.direct import read_page
from qgjob.bus.follow import StreamMessage
from qgjob.client import Client
from qgjob.errors import BadMessageError
from tui.replay.rebuild import rebuilt_agents, rebuilt_overview
from tui.replay.tape import MAX_EVENTS, Moment, Player, Tape
from tui.store.store import Store

SPEEDS: Final = (0.25, 1.0, 5.0, 20.0, 60.0, 300.0, 1200.0)
_SEEK_BUDGET: Final = 500
_TURNED_BACK_S: Final = 100_000.0


class TapeClock:
    """Shows the time of the tape; its monotonic hand starts anew when the tape is wound back."""

    def __init__(self) -> None:
        self.at = 0.0
        self._base = 0.0
        self._turns = 0

    def now(self) -> float:
        """The time of the tape."""
        return self.at

    def monotonic(self) -> float:
        """Seconds of the tape; it never goes back."""
        return self._turns * _TURNED_BACK_S + max(0.0, self.at - self._base)

    def set(self, at: float) -> None:
        """Another time; whoever goes back begins anew."""
        if at < self.at or not self._base:
            self._turns += 1
            self._base = at
        self.at = at


class Replay:
    """A tape that is played, paused, stepped through and wound."""

    def __init__(self, tape: Tape, server: str) -> None:
        self.clock = TapeClock()
        self.clock.set(tape.begin)
        self.store = Store(self.clock, server=server)
        self.tape = tape
        self._player = Player(tape, self.store)
        self._target = tape.place(tape.begin)
        self.playing = True
        self.speed = 20.0
        self._published: tuple[int, int] | None = None
        self.store.link.set_phase("live", self.clock.monotonic())
        self.seek(tape.begin)

    @property
    def seeking(self) -> bool:
        """Whether it is still on the way to where it was sent."""
        return self._player.place != self._target

    def tick(self, seconds: float) -> None:
        """Let real time pass: the tape goes on, or some more of the way is gone."""
        if self.seeking:
            self._player.go_to(self._target)
        elif self.playing and self.clock.at < self.tape.end:
            self._set_time(min(self.tape.end, self.clock.at + seconds * self.speed))
            self._player.go_to(self._target)
        self._publish()

    def advance(self) -> None:
        """Go some more of the way to where it was sent, so little that a key is answered soon."""
        self._player.go_to(self._target, _SEEK_BUDGET)

    def seek(self, at: float) -> None:
        """Go to a time."""
        self._set_time(max(self.tape.begin, min(self.tape.end, at)))
        self._player.go_to(self._target)
        self._publish()

    def step(self, events: int) -> None:
        """Go some events onwards or back, and stay there."""
        self.playing = False
        place = max(0, min(len(self.tape), self._target + events))
        self.seek(self.tape.at(max(0, place - 1)))

    def change_speed(self, steps: int) -> None:
        """Change the speed."""
        here = min(range(len(SPEEDS)), key=lambda i: abs(SPEEDS[i] - self.speed))
        self.speed = SPEEDS[max(0, min(len(SPEEDS) - 1, here + steps))]
        self._publish()

    def toggle(self) -> None:
        """Play or pause; at the end, from the beginning."""
        if self.clock.at >= self.tape.end:
            self.seek(self.tape.begin)
            self.playing = True
        else:
            self.playing = not self.playing
        self._publish()

    def _set_time(self, at: float) -> None:
        self.clock.set(at)
        self._target = self.tape.place(at)

    def _publish(self) -> None:
        """Say where the tape is, and what overview and agents would have said."""
        store, clock = self.store, self.clock
        span = max(1.0, self.tape.end - self.tape.begin)
        share = (clock.at - self.tape.begin) / span
        how = "seeking" if self.seeking else "▶" if self.playing else "‖"
        store.link.replay = f"replay {how} ×{self.speed:g} {share:.0%}"
        store.link.record_activity(clock.monotonic())
        store.link.changed = True
        told = (self._player.place, int(clock.at))
        if told != self._published:
            self._published = told
            agents = rebuilt_agents(store.jobs, clock.now())
            idle = sum(slot.state == "idle" for beat in agents for slot in beat.slots)
            store.overview = None  # the time may have gone back
            store.apply_overview(rebuilt_overview(store.jobs, clock.now(), idle=idle))
            store.lab.clear()
            for beat in agents:
                store.apply_heartbeat(beat)


async def record(client: Client, since: float, say: Callable[[str], None]) -> Tape:
    """A tape of all that is stored since a time; raises what the client's requests do."""
    tape = Tape()
    moments: list[Moment] = []
    page = await read_page(client.bus, streams.EVENTS, subjects.EVENTS_ALL, since=since)
    while page.messages:
        moments += _read(page.messages)
        say(f"Reading what happened: {len(moments):,} events …")
        if not page.pending or len(moments) >= 2 * MAX_EVENTS:
            break
        last = page.messages[-1].seq
        page = await read_page(client.bus, streams.EVENTS, subjects.EVENTS_ALL, start_seq=last + 1)
        await asyncio.sleep(0)
    tape.record(moments, since=since)
    return tape


def _read(messages: list[StreamMessage]) -> list[Moment]:
    moments: list[Moment] = []
    for message in messages:
        try:
            moments.append(Moment(message.at, message.seq, decode_event(message.data)))
        except BadMessageError:
            continue  # it is among the dead letters; the others can be played
    return moments
