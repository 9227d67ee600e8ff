"""The placement core within a reign: events go in, effects go to those who carry them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from qgjob.clock import Clock
from qgjob.domain.placement import core
from qgjob.domain.placement.events import Bind, Effect, Event, Expire, Release, Tick
from qgjob.domain.placement.model import GroupKey, LabState
from qgjob.scheduler.dispatch.timings import Timings


@dataclass(slots=True)
class Lab:
    """Holds the placement core's state; every event of a reign passes through `feed`."""

    clock: Clock
    on_bind: Callable[[Bind], None]
    on_release: Callable[[Release], None]
    on_expire: Callable[[Expire], None]
    state: LabState = field(default_factory=LabState)
    timings: Timings = field(default_factory=Timings)
    open: bool = False
    """Whether jobs are placed: not before recovery has found what is released already."""
    changed: bool = True
    """Whether something happened since the last overview."""

    def feed(self, *events: Event) -> None:
        """Take events in, decide once, and hand out the effects."""
        now, began = self.clock.now(), self.clock.monotonic()
        effects: list[Effect] = []
        for event in events:
            core.apply_event(self.state, event, now, effects)
        if self.open:
            core.dispatch(self.state, now, effects)
        if effects or any(not isinstance(event, Tick) for event in events):
            self.changed = True
            self.timings.rounds.add(self.clock.monotonic() - began)
        for effect in effects:
            match effect:
                case Bind():
                    self.on_bind(effect)
                case Release():
                    self.on_release(effect)
                case Expire():
                    self.on_expire(effect)

    def in_use(self) -> dict[GroupKey, bool]:
        """The groups that slots are bound to, or whose jobs are out: True for these."""
        return {
            key: bool(group.in_flight)
            for key, group in self.state.groups.items()
            if group.in_flight or group.slots
        }

    def start(self, aged_credit: float | None = None) -> None:
        """Recovery is done: place from now on. `aged_credit`: see `take_over`."""
        core.take_over(self.state, self.clock.now(), aged_credit)
        self.open = True
        self.feed(Tick())
