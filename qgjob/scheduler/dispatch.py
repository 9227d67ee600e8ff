"""Carry out what placement decided: bind slots to groups, release jobs into the work stream.

Releases go in atomic batches, one in flight, each fenced: its first message is stored only while
the fence is the one that this reign wrote. When a batch is refused, somebody else reigns or the
stream holds what we do not know of: the reign ends, and the next one begins with a recovery.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bus_schemas import streams, subjects
from bus_schemas.agents import Binding, GroupRef
from bus_schemas.events import Ended, Released
from qgjob.bus.connect import Bus
from qgjob.bus.publish import OutMsg, expect, lost_compare, publish_batch
from qgjob.bus.pull import ACK
from qgjob.bus.requester import JsError
from qgjob.bus.topology import create_consumer
from qgjob.clock import Clock
from qgjob.domain.placement.model import Bind, GroupKey, Release
from qgjob.scheduler.backlog import Backlog, Entry
from qgjob.bus.chain import chain_subject, read_chain
from qgjob.scheduler.leader import DeposedError

log = logging.getLogger(__name__)

_MAX_RELEASES = 200


@dataclass(slots=True)
class Dispatcher:
    """Binds and releases for one reign."""

    bus: Bus
    clock: Clock
    epoch: int
    fence: int
    backlog: Backlog
    horizon: int
    """Jobs up to this sequence were there before the reign: their chains are read before a release."""
    on_already_ended: Callable[[Entry, Ended], None]
    _releases: deque[Release] = field(default_factory=deque[Release])
    _ended: deque[Entry] = field(default_factory=deque[Entry])
    _binds: deque[Bind] = field(default_factory=deque[Bind])
    _wake_release: asyncio.Event = field(default_factory=asyncio.Event)
    _wake_bind: asyncio.Event = field(default_factory=asyncio.Event)
    _consumers: set[str] = field(default_factory=set[str])

    def release(self, release: Release) -> None:
        """Put a job on the list of what to release."""
        self._releases.append(release)
        self._wake_release.set()

    def bind(self, bind: Bind) -> None:
        """Put a slot on the list of whom to tell."""
        self._binds.append(bind)
        self._wake_bind.set()

    def settle(self, entry: Entry) -> None:
        """A job ended: if it stands in the backlog's stream still (cancelled, expired), take it out."""
        if entry.ack is not None:
            self._ended.append(entry)
            self._wake_release.set()

    def knows_consumers(self, names: set[str]) -> None:
        """Group consumers that exist already."""
        self._consumers |= names

    async def run_binds(self) -> None:
        """Make the group's consumer be there and tell the slot."""
        while True:
            while self._binds:
                bind = self._binds.popleft()
                await self._bind(bind)
            self._wake_bind.clear()
            await self._wake_bind.wait()

    async def run_releases(self) -> None:
        """Publish releases, one batch in flight."""
        while True:
            while self._ended:
                await self.acknowledge(self._ended.popleft())
            while self._releases:
                batch = [self._releases.popleft() for _ in range(min(len(self._releases), _MAX_RELEASES))]
                await self._release(batch)
            self._wake_release.clear()
            await self._wake_release.wait()

    async def _bind(self, bind: Bind) -> None:
        group = bind.group
        consumer = streams.group_consumer_name(*group)
        if consumer not in self._consumers:
            await create_consumer(self.bus, streams.WORK, streams.group_consumer(*group))
            self._consumers.add(consumer)
        agent, _, slot = bind.slot.rpartition("/")
        binding = Binding(
            agent=agent,
            slot=slot,
            epoch=self.epoch,
            group=group_ref(group),
            consumer=consumer,
            ack_wait_s=streams.ACK_WAIT_S,
        )
        await self.bus.nc.publish(subjects.agent_verb(agent, "bind"), binding.encode())

    async def _release(self, batch: list[Release]) -> None:
        entries: list[tuple[Release, Entry]] = []
        for release in batch:
            entry = self.backlog.entries.get(release.job.job_id)
            if entry is not None and entry.attempt == release.job.attempt:
                entries.append((release, entry))
        entries = await self._without_ended(entries)
        if not entries:
            return
        messages = [
            OutMsg(subjects.work(*r.job.group, r.job.job_id), entry.payload, expect(0))
            for r, entry in entries
        ]
        first = messages[0]
        messages[0] = OutMsg(first.subject, first.payload, expect(self.fence, subjects.WORK_FENCE))
        try:
            await publish_batch(self.bus, messages)
        except JsError as error:
            if lost_compare(error):
                raise DeposedError(
                    "a release was refused: the fence moved, or the work is out already"
                ) from error
            raise
        for _, entry in entries:
            entry.released = True
            await self.acknowledge(entry)
        await self._tell(entries)

    async def acknowledge(self, entry: Entry) -> None:
        """Take a job out of the backlog's stream; a lost ack shows at the next reign."""
        ack, entry.ack = entry.ack, None
        if ack is not None:
            await self.bus.nc.publish(ack, ACK)

    async def _without_ended(self, entries: list[tuple[Release, Entry]]) -> list[tuple[Release, Entry]]:
        inherited = [e for _, e in entries if 0 < e.seq <= self.horizon]
        if not inherited:
            return entries
        links = await asyncio.gather(
            *(read_chain(self.bus, chain_subject(entry.message())) for entry in inherited)
        )
        ended = {
            entry.job_id: link
            for entry, (link, _) in zip(inherited, links, strict=True)
            if isinstance(link, Ended)
        }
        for _, entry in entries:
            if entry.job_id in ended:
                await self.acknowledge(entry)
                self.on_already_ended(entry, ended[entry.job_id])
        return [(r, e) for r, e in entries if e.job_id not in ended]

    async def _tell(self, entries: list[tuple[Release, Entry]]) -> None:
        now = self.clock.now()
        events = [
            OutMsg(
                subjects.event(entry.org_id, entry.run_id, entry.job_id, entry.attempt, "info"),
                Released(
                    org_id=entry.org_id,
                    run_id=entry.run_id,
                    job_id=entry.job_id,
                    attempt=entry.attempt,
                    at=now,
                    group=streams.group_consumer_name(*release.job.group),
                    because=release.because,
                ).encode(),
            )
            for release, entry in entries
        ]
        await publish_batch(self.bus, events)


def group_ref(group: GroupKey) -> GroupRef:
    """A group's key as messages carry it."""
    return GroupRef(capability=group.capability, org_id=group.org_id, app_version_id=group.app_version_id)
