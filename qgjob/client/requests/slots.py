"""Whether any live slot could ever run a job: compares the labels it requires with those of the slots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.agents import Heartbeat, SlotStatus
from bus_schemas.queries import JobView

HEARD_FOR_S: Final = 20.0
"""An agent that was silent for longer is gone; heartbeats come every 5 s."""


@dataclass(slots=True)
class LiveSlots:
    """The slots of agents with a recent heartbeat. `now` is monotonic, in seconds."""

    _agents: dict[str, tuple[Heartbeat, float]] = field(default_factory=dict[str, tuple[Heartbeat, float]])

    def reset(self, agents: Iterable[Heartbeat], now: float) -> None:
        """Replace all known agents by these."""
        self._agents = {agent.agent: (agent, now) for agent in agents}

    def heard(self, agent: Heartbeat, now: float) -> None:
        """Take in an agent's heartbeat."""
        if agent.state == "gone":
            self._agents.pop(agent.agent, None)
        else:
            self._agents[agent.agent] = (agent, now)

    def slots(self, now: float) -> list[tuple[str, SlotStatus]]:
        """The names (`agent/slot`) and states of all live slots."""
        return [
            (f"{agent.agent}/{slot.name}", slot)
            for agent, heard in self._agents.values()
            if now - heard <= HEARD_FOR_S
            for slot in agent.slots
        ]


def missing_labels(requires: Sequence[str], slots: Sequence[tuple[str, SlotStatus]]) -> str | None:
    """Why no slot has the labels, as part of a sentence; None when one has.

    A slot that is busy, paused or draining counts: it could run the job one day.
    """
    wanted = set(requires)
    if not slots:
        return "no agent is connected"
    if any(wanted <= set(slot.labels) for _, slot in slots):
        return None
    nowhere = sorted(wanted.difference(*(slot.labels for _, slot in slots)))
    if nowhere:
        return f"no slot has {_listed(nowhere)}"
    name, nearest = min(slots, key=lambda item: (len(wanted - set(item[1].labels)), item[0]))
    lacking = sorted(wanted - set(nearest.labels))
    return f"no slot has all of {_listed(sorted(wanted))}; the nearest, {name}, lacks {_listed(lacking)}"


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels)


@dataclass(slots=True)
class NoSlotTimer:
    """Finds waiting jobs that no slot could have run for `grace_s` seconds."""

    grace_s: float
    _since: dict[tuple[str, ...], float] = field(default_factory=dict[tuple[str, ...], float])

    def overdue(
        self, waiting: Iterable[JobView], slots: Sequence[tuple[str, SlotStatus]], now: float
    ) -> dict[str, str]:
        """The jobs whose time is up, with what is missing; called again and again."""
        jobs = list(waiting)
        needs = {job.requires for job in jobs}
        reasons = {need: reason for need in needs if (reason := missing_labels(need, slots)) is not None}
        self._since = {need: self._since.get(need, now) for need in reasons}
        return {
            job.job_id: reasons[job.requires]
            for job in jobs
            if job.requires in reasons and now - self._since[job.requires] >= self.grace_s
        }

    def reset(self) -> None:
        """Begin to count anew."""
        self._since = {}
