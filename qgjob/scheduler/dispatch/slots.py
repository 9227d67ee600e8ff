"""Receives the reports of slots and agents, and notices those that are gone."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bus_schemas import subjects
from bus_schemas.agents import GroupRef, Heartbeat, Hello, SlotNext
from bus_schemas.streams import AGENTS_BUCKET
from bus_schemas.tokens import encode_token
from qgjob.bus.connect import Bus
from qgjob.bus.follow import follow
from qgjob.bus.kv import key_subject
from qgjob.clock import Clock
from qgjob.domain.placement.events import Bind, SlotLost, SlotSeen
from qgjob.domain.placement.model import GroupKey
from qgjob.errors import BadMessageError
from qgjob.scheduler.dispatch.dispatcher import Dispatcher
from qgjob.scheduler.dispatch.holds import Holds
from qgjob.scheduler.dispatch.lab import Lab

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger(__name__)

SILENT_S = 40.0
"""Slots report every 15 s: an agent of which neither these nor heartbeats are heard so long is gone."""
_LOOK_S = 5.0


@dataclass(slots=True)
class Slots:
    """Feeds the placement core with the slots' reports."""

    bus: Bus
    clock: Clock
    lab: Lab
    dispatcher: Dispatcher
    holds: Holds
    agents: dict[str, set[str]]
    """Slots by agent."""
    _last_report: dict[str, float] = field(default_factory=dict[str, float])
    """When a slot of an agent last reported itself (monotonic)."""
    _keys: dict[str, str] = field(default_factory=dict[str, str])

    async def run(self) -> None:
        """Listen until cancelled."""
        async with self.bus.subscribed(subjects.SLOT_NEXT_ALL, self._on_next), asyncio.TaskGroup() as tasks:
            await self.bus.nc.publish(subjects.HELLO, Hello(epoch=self.dispatcher.epoch).encode())
            tasks.create_task(self._watch_agents(), name="agents")
            tasks.create_task(self._expire_silent_agents(), name="silent agents")

    async def _on_next(self, msg: Msg) -> None:
        try:
            report = SlotNext.decode(msg.data)
            # Where an agent may publish is a right: one that spoke for another would go round it.
            if subjects.slot_next(report.agent, report.slot) != msg.subject:
                raise BadMessageError(f"slot {report.slot} of {report.agent} does not belong there")
        except BadMessageError as error:
            log.warning("ignored a slot's report on %s: %s", msg.subject, error)
            return
        name = f"{report.agent}/{report.slot}"
        self.agents.setdefault(report.agent, set()).add(name)
        self._last_report[report.agent] = self.clock.monotonic()
        bound = _group_key(report.bound)
        held = self.holds.on_report(name, report)
        seen = SlotSeen(
            name=name,
            labels=frozenset(report.labels),
            available=report.state in {"idle", "busy"} and not report.closed,
            installed=frozenset((build.org_id, build.app_version_id) for build in report.installed),
            bound=bound,
            job_id=report.job_id,
            instance=report.instance,
            attempt=report.attempt,
            note="its agent stops" if report.closed else report.note or report.state,
        )
        self.lab.feed(*held, seen)
        slot = self.lab.state.slots[name]
        if slot.available and slot.bound is not None and slot.bound != bound:
            if bound is None:
                self.dispatcher.recheck_consumer(slot.bound)
            self.dispatcher.bind(Bind(name, slot.bound))  # the binding was lost, or is on its way

    async def _expire_silent_agents(self) -> None:
        """An agent without a heartbeat in the bucket has no key that could expire: its reports must tell."""
        while True:
            await asyncio.sleep(_LOOK_S)
            since = self.clock.monotonic() - SILENT_S
            beating = set(self._keys.values())
            for agent in [agent for agent in self.agents if agent not in beating]:
                if self._last_report.get(agent, 0.0) < since:
                    self._agent_gone(agent)

    async def _watch_agents(self) -> None:
        prefix = key_subject(AGENTS_BUCKET, "")
        async for batch in follow(self.bus, f"KV_{AGENTS_BUCKET}", [prefix + ">"], last_per_subject=True):
            for message in batch:
                key = message.subject[len(prefix) :]
                if message.deleted:
                    self._agent_gone(self._keys.pop(key, None))
                    continue
                try:
                    heartbeat = Heartbeat.decode(message.data)
                    if encode_token(heartbeat.agent) != key:
                        raise BadMessageError(f"{heartbeat.agent} does not belong there")
                except BadMessageError as error:
                    log.warning("ignored a heartbeat on %s: %s", message.subject, error)
                    continue
                self._keys[key] = heartbeat.agent
                if heartbeat.state == "gone":
                    self._agent_gone(heartbeat.agent)
                    continue
                self._slots_gone(heartbeat)
            await asyncio.sleep(0)

    def _slots_gone(self, heartbeat: Heartbeat) -> None:
        """Slots that an agent had and does not name any more, as after its restart."""
        names = {f"{heartbeat.agent}/{slot.name}" for slot in heartbeat.slots}
        known = self.agents.setdefault(heartbeat.agent, set())
        for name in sorted(known - names):
            known.discard(name)
            self.lab.feed(SlotLost(name))

    def _agent_gone(self, agent: str | None) -> None:
        if agent is not None:
            self._last_report.pop(agent, None)
        for name in sorted(self.agents.pop(agent, set()) if agent else ()):
            log.info("slot %s is gone", name)
            self.lab.feed(SlotLost(name))


def _group_key(ref: GroupRef | None) -> GroupKey | None:
    return GroupKey(ref.capability, ref.org_id, ref.app_version_id) if ref else None
