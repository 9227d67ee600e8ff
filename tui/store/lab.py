"""The agents and their slots, from heartbeats; what it says of their age is told by our own clock."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bus_schemas.agents import Heartbeat, SlotStatus

LOST_AFTER_S: Final = 15.0
FORGET_AFTER_S: Final = 12 * 3600.0
"""Who comes in the morning should see which agents were lost in the night: nobody else remembers them."""
PRESENT_S: Final = 600.0
"""For so long a silent agent may come back as it was; after that its slots are none to reckon with."""
FORGET_GONE_S: Final = 30.0


class AgentRecord:
    """The newest heartbeat of an agent, and when it came."""

    __slots__ = ("beat", "received_at")

    def __init__(self, beat: Heartbeat, heard_at: float) -> None:
        self.beat = beat
        self.received_at = heard_at

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.beat.agent

    def age(self, monotonic: float) -> float:
        """Seconds since a newer heartbeat came."""
        return max(0.0, monotonic - self.received_at)

    def state(self, monotonic: float) -> str:
        """`up`, `draining`, `gone`, or `lost` when it fell silent."""
        if self.beat.state != "gone" and self.age(monotonic) > LOST_AFTER_S:
            return "lost"
        return self.beat.state

    def speaks(self, monotonic: float) -> bool:
        """Whether what it last said of its slots is believed."""
        return self.state(monotonic) in {"up", "draining"}

    def slot_state(self, slot: SlotStatus, monotonic: float) -> str:
        """A slot's state; what a silent agent last said of it is no longer believed."""
        return slot.state if self.speaks(monotonic) else "lost"


class Lab:
    """Agents by name; the newest heartbeat wins, however often and in whatever order it is heard."""

    def __init__(self) -> None:
        self._agents: dict[str, AgentRecord] = {}
        self._names: list[str] | None = None
        """Sorted; None once an agent came or went."""
        self.changed = True
        self.version = 0
        """Goes up with every change."""

    def __len__(self) -> int:
        return len(self._agents)

    def agents(self) -> list[AgentRecord]:
        """All agents, by name, `rack-2` before `rack-10`."""
        if self._names is None:
            self._names = sorted(self._agents, key=_natural_order)
        return [self._agents[name] for name in self._names]

    def present(self, monotonic: float) -> list[AgentRecord]:
        """Those that there still are, as far as one knows: not all who are remembered."""
        return [record for record in self.agents() if record.age(monotonic) <= PRESENT_S]

    def apply_heartbeat(self, beat: Heartbeat, monotonic: float, *, age_s: float = 0.0) -> bool:
        """Take in a heartbeat that is `age_s` old; returns whether it was news."""
        known = self._agents.get(beat.agent)
        if known is not None and _version(beat) <= _version(known.beat):
            return False
        self._agents[beat.agent] = AgentRecord(beat, monotonic - age_s)
        if known is None:
            self._names = None
        self._mark_changed()
        return True

    def sweep(self, monotonic: float) -> None:
        """Forget agents that are gone for good."""
        for name, record in list(self._agents.items()):
            limit = FORGET_GONE_S if record.beat.state == "gone" else FORGET_AFTER_S
            if record.age(monotonic) > limit:
                del self._agents[name]
                self._names = None
                self._mark_changed()

    def clear(self) -> None:
        """Forget all of them."""
        self._agents.clear()
        self._names = None
        self._mark_changed()

    def _mark_changed(self) -> None:
        self.changed = True
        self.version += 1

    def busy_slots(self, monotonic: float) -> tuple[int, int]:
        """How many slots work, and how many there are."""
        busy = total = 0
        for record in self.present(monotonic):
            total += len(record.beat.slots)
            if record.speaks(monotonic):
                busy += sum(slot.state == "busy" for slot in record.beat.slots)
        return busy, total


def _natural_order(name: str) -> tuple[list[tuple[int, str]], str]:
    """What sorts names as people count: of two numbers the longer is the larger."""
    parts = [part.lstrip("0") if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", name))]
    return [(len(part) if i % 2 else 0, part) for i, part in enumerate(parts)], name


def _version(beat: Heartbeat) -> tuple[float, bool, str]:
    # Two of the same moment are the same heartbeat, but for nonsense: then any fixed choice will do.
    return (beat.at, beat.state == "gone", beat.model_dump_json())
