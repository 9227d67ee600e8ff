"""Carry out what placement decided: bind slots to groups, release jobs into the work stream.

Every release is fenced: it is stored only while the fence is the one that this reign wrote. When
one is refused, somebody else reigns: the reign ends. A job is acknowledged in the backlog a little
after its release was: by then both have reached the disk, so a power cut cannot take both.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bus_schemas import streams, subjects
from bus_schemas.agents import Binding, GroupRef
from bus_schemas.events import Ended, Released, about
from qgjob.bus.chain import chain_subject, read_chain
from qgjob.bus.connect import Bus
from qgjob.bus.publish import OutMsg, event_message, lost_compare
from qgjob.bus.publisher import Publisher
from qgjob.bus.pull import ACK
from qgjob.bus.requester import JsError
from qgjob.clock import Clock
from qgjob.domain.placement.events import Bind, Release
from qgjob.domain.placement.model import GroupKey
from qgjob.scheduler.backlog.entries import Backlog, Entry
from qgjob.scheduler.dispatch.bindings_first import BindingsFirst
from qgjob.scheduler.dispatch.group_consumers import GroupConsumers
from qgjob.scheduler.leadership.election import DeposedError
from qgjob.scheduler.leadership.fence import Fence
from qgjob.waiting import set_within

log = logging.getLogger(__name__)

_MAX_RELEASES = 200
_ACK_EVERY_S = 0.25
_AGAIN_S = 1.0
"""Between two looks at groups for which the server had no room."""
ACK_AFTER_S = 2.5
"""Twice the `sync_interval` of nats.conf, and some."""


@dataclass(slots=True)
class Dispatcher:
    """Binds and releases for one reign."""

    bus: Bus
    clock: Clock
    epoch: int
    fence: Fence
    backlog: Backlog
    events: Publisher
    ack_wait_s: float
    """How long a lease on released work lasts."""
    on_already_ended: Callable[[Entry, Ended], None]
    on_gone: Callable[[Release], None]
    """Called for a release whose job is not there any more: it ended, or another attempt took its place."""
    consumers: GroupConsumers
    bound_group: Callable[[str], GroupKey | None]
    """Which group placement has a slot pull from; None: none, or the slot is gone."""
    bindings_first: BindingsFirst = field(default_factory=BindingsFirst)
    """Told of the slots that are bound."""
    _releases: deque[Release] = field(default_factory=deque[Release])
    _acks: deque[tuple[float, Entry]] = field(default_factory=deque[tuple[float, Entry]])
    _binds: deque[Bind] = field(default_factory=deque[Bind])
    _wake_release: asyncio.Event = field(default_factory=asyncio.Event)
    _wake_bind: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self, release: Release) -> None:
        """Queue a release."""
        self._releases.append(release)
        self._wake_release.set()

    def bind(self, bind: Bind) -> None:
        """Queue a binding."""
        self._binds.append(bind)
        self.bindings_first.on_bound(bind.slot)
        self._wake_bind.set()

    def acknowledge_ended(self, entry: Entry) -> None:
        """Acknowledge a job that ended while it was in the backlog's stream (cancelled, expired)."""
        if entry.ack is not None and not entry.released:
            self._acks.append((self.clock.monotonic(), entry))

    def recheck_consumer(self, group: GroupKey) -> None:
        """Note that a slot does not pull from the group it is bound to: the group's consumer may be gone."""
        self.consumers.recheck(group)

    async def run_binds(self) -> None:
        """Create the consumers of groups and send the bindings, all of them at once."""
        while True:
            self._wake_bind.clear()
            while self._binds:
                slots: dict[GroupKey, list[str]] = {}
                for slot, group in {bind.slot: bind.group for bind in self._binds}.items():
                    slots.setdefault(group, []).append(slot)
                self._binds.clear()
                await asyncio.gather(*(self._bind(group, names) for group, names in slots.items()))
            limited = await self.consumers.report_limit()
            await set_within(self._wake_bind, _AGAIN_S if limited else None)

    async def run_releases(self) -> None:
        """Publish queued releases, in batches."""
        while True:
            while self._releases:
                batch = [self._releases.popleft() for _ in range(min(len(self._releases), _MAX_RELEASES))]
                await self._release(batch)
            self._wake_release.clear()
            await self._wake_release.wait()

    async def _bind(self, group: GroupKey, slots: list[str]) -> None:
        there = await self.consumers.ensure(group)
        for name in slots:
            if self._is_outdated(name, group):
                continue
            if not there:  # placement is told, and has other work for the slot
                self.bindings_first.on_binding_sent(name)
                continue
            agent, _, slot = name.rpartition("/")
            binding = Binding(
                agent=agent,
                slot=slot,
                epoch=self.epoch,
                group=group_ref(group),
                consumer=streams.group_consumer_name(*group),
                ack_wait_s=self.ack_wait_s,
            )
            await self.bus.nc.publish(subjects.agent_verb(agent, "bind"), binding.encode())
            self.bindings_first.on_binding_sent(name)

    def _is_outdated(self, slot: str, group: GroupKey) -> bool:
        """Bind no slot that placement gave other work, or lost, while the group's consumer was made."""
        if self.bound_group(slot) == group:
            return False
        if all(bind.slot != slot for bind in self._binds):
            self.bindings_first.on_binding_sent(slot)  # there is nothing to be sent to it now
        return True

    async def _release(self, batch: list[Release]) -> None:
        entries: list[tuple[Release, Entry]] = []
        for release in batch:
            entry = self.backlog.entries.get(release.job.job_id)
            if entry is not None and entry.attempt == release.job.attempt:
                entries.append((release, entry))
            else:
                self.on_gone(release)
        entries = await self._without_ended(entries)
        if not entries:
            return
        messages = [OutMsg(subjects.work(*r.job.group, r.job.job_id), entry.payload) for r, entry in entries]
        try:
            await self.fence.publish(self.bus, messages)
        except JsError as error:
            if lost_compare(error):
                raise DeposedError("a release was refused: another leader wrote the fence") from error
            raise
        due = self.clock.monotonic() + ACK_AFTER_S
        for _, entry in entries:
            entry.released = True
            self._acks.append((due, entry))
        self._post_released(entries)

    async def run_acks(self) -> None:
        """Acknowledge jobs in the backlog's stream once their release is on disk and they were announced."""
        unannounced: list[Entry] = []
        while True:
            due, now = unannounced, self.clock.monotonic()
            while self._acks and self._acks[0][0] <= now:
                due.append(self._acks.popleft()[1])
            unannounced = [entry for entry in due if entry.announced_at_post > self.events.done]
            for entry in due:
                if entry.announced_at_post <= self.events.done:
                    await self.acknowledge(entry)
            await asyncio.sleep(_ACK_EVERY_S)

    async def acknowledge(self, entry: Entry) -> None:
        """Acknowledge a job in the backlog's stream; a lost ack is noticed in the next reign."""
        ack, entry.ack = entry.ack, None
        if ack is not None:
            await self.bus.nc.publish(ack, ACK)

    async def _without_ended(self, entries: list[tuple[Release, Entry]]) -> list[tuple[Release, Entry]]:
        maybe_ended = [e for _, e in entries if e.maybe_ended]
        if not maybe_ended:
            return entries
        links = await asyncio.gather(
            *(read_chain(self.bus, chain_subject(entry.message())) for entry in maybe_ended)
        )
        ended = {
            entry.job_id: link
            for entry, (link, _) in zip(maybe_ended, links, strict=True)
            if isinstance(link, Ended)
        }
        for _, entry in entries:
            if entry.job_id in ended:
                await self.acknowledge(entry)
                self.on_already_ended(entry, ended[entry.job_id])
        return [(r, e) for r, e in entries if e.job_id not in ended]

    def _post_released(self, entries: list[tuple[Release, Entry]]) -> None:
        now = self.clock.now()
        for release, entry in entries:
            group = streams.group_consumer_name(*release.job.group)
            released = Released(**about(entry, entry.attempt, now), group=group, because=release.because)
            self.events.post(event_message(released))


def group_ref(group: GroupKey) -> GroupRef:
    """A group's key as messages carry it."""
    return GroupRef(capability=group.capability, org_id=group.org_id, app_version_id=group.app_version_id)
