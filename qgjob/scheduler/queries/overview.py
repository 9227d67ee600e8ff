"""The lab at a glance, from the leader's own state; published when it changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bus_schemas import subjects
from bus_schemas.base import END_OF_TIMES
from bus_schemas.jobs import labels_of
from bus_schemas.queries import GroupView, LeaderView, OrgView, Overview, PauseView
from bus_schemas.rules import QueueRules
from bus_schemas.subjects import PRIORITY_CLASSES
from qgjob.bus.connect import Bus
from qgjob.clock import Clock
from qgjob.domain.placement import blocking
from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.model import GroupKey, Job
from qgjob.scheduler.dispatch.dispatcher import group_ref
from qgjob.scheduler.dispatch.holds import Holds
from qgjob.scheduler.dispatch.lab import Lab
from qgjob.scheduler.leadership.election import Mandate
from qgjob.scheduler.queries.reply_size import fit_overview

log = logging.getLogger(__name__)

_EVERY_S = 0.25
_STILL_EVERY = 8
_REST_SHARE = 20.0
"""But so many times as long as it takes lies between two: with a hundred thousand groups it takes a while."""
_MAX_GROUPS = 200
_MAX_HOLDS = 200


Parked = Mapping[GroupKey, tuple[int, Job]]
"""How many jobs of a group wait at the gates of their runs, and the oldest of them."""


class _Row(NamedTuple):
    """A group with all that waits in it."""

    group: Group
    blocked: Group | None
    waiting: int
    parked: Job | None
    """The oldest at the gates of their runs."""

    def oldest(self) -> Job | None:
        """The one that waits longest of all."""
        blocked = None if self.blocked is None else self.blocked.oldest()
        return min(_jobs(self.group.oldest(), blocked, self.parked), default=None)


@dataclass(slots=True)
class OverviewPublisher:
    """Publishes `qg.live.overview` at most four times a second, and every two seconds when still."""

    bus: Bus
    clock: Clock
    lab: Lab
    mandate: Mandate
    ended: Callable[[], dict[str, int]]
    dead_letters: Callable[[], int]
    rules: Callable[[], QueueRules]
    holds: Holds
    _rounds: int = 0
    _failing: bool = False

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            self._rounds += 1
            began = self.clock.monotonic()
            if self.lab.changed or self._rounds % _STILL_EVERY == 0:
                self.lab.changed = False
                await self._publish()
            await asyncio.sleep(max(_EVERY_S, _REST_SHARE * (self.clock.monotonic() - began)))

    async def _publish(self) -> None:
        try:
            data = fit_overview(self.now(), self.bus.max_payload)
        except Exception:
            # A bug here must not end the reign: jobs run without the overview.
            if not self._failing:
                log.exception("the overview cannot be made")
            self._failing = True
        else:
            self._failing = False
            await self.bus.nc.publish(subjects.LIVE_OVERVIEW, data)

    def now(self) -> Overview:
        """The overview of this moment."""
        state, now = self.lab.state, self.clock.now()
        busy = sum(1 for slot in state.slots.values() if slot.assigned)
        parked = state.run_gates.parked()
        rows = self._rows(parked)
        delayed = sum(1 for *_, job in state.delayed if not job.gone)
        may_start = sum(group.waiting for group in state.groups.values())
        rules = self.rules()
        oldest = self._oldest(parked)
        return Overview(
            at=now,
            leader=LeaderView(
                replica=self.mandate.replica, epoch=self.mandate.epoch, since=self.mandate.since
            ),
            depths={str(name): depth for name, depth in zip(PRIORITY_CLASSES, state.depths, strict=True)},
            waiting=len(state.jobs),
            delayed=delayed,
            held=len(state.jobs) - delayed - may_start,
            most_groups=state.max_groups,
            groups_held=len(
                state.refused.union(key for key in state.blocked if blocking.waits_for_room(state, key))
            ),
            running=sum(1 for released in state.in_flight.values() if released.started),
            slots_idle=sum(1 for slot in state.slots.values() if slot.available and not slot.assigned),
            slots_busy=busy,
            slots_held=sum(1 for slot in state.slots.values() if not slot.available),
            holds=tuple(self.holds.all()[:_MAX_HOLDS]),
            builds_held=tuple(self.holds.quarantine.builds_held()[:_MAX_HOLDS]),
            installs=state.installs,
            installs_avoided=state.installs_avoided,
            ended=self.ended(),
            dead_letters=self.dead_letters(),
            oldest_wait_s=_waited_s(oldest, now),
            groups=tuple(self._view(row, now) for row in rows[:_MAX_GROUPS]),
            groups_total=len(rows),
            pauses=tuple(PauseView(**pause.model_dump()) for pause in rules.pauses),
            orgs=tuple(
                OrgView(**org.model_dump(), running=state.org_in_flight.get(org.org_id, 0))
                for org in rules.orgs
            ),
        )

    def _oldest(self, parked: Parked) -> Job | None:
        """The job that waits longest: the groups are kept by age, of which there may be thousands."""
        state = self.lab.state
        state.index.refresh(state.estimates)
        first = next((group.oldest() for group in state.index.by_age), None)
        blocked = (group.oldest() for group in state.blocked.values())
        return min(_jobs(first, *blocked, *(job for _, job in parked.values())), default=None)

    def _rows(self, parked: Parked) -> list[_Row]:
        """Every group with all that waits in it, what may not start now included."""
        state = self.lab.state
        groups = {**state.blocked, **state.groups}
        for key in parked.keys() - groups.keys():
            groups[key] = Group(key, labels_of(key.capability), None, 0)
        rows: list[_Row] = []
        for key, group in groups.items():
            blocked = state.blocked.get(key)
            if blocked is group:  # nothing of it is out, or may start
                blocked = None
            count, oldest = parked.get(key, (0, None))
            waiting = count + group.waiting + (0 if blocked is None else blocked.waiting)
            rows.append(_Row(group, blocked, waiting, oldest))
        return sorted(rows, key=lambda row: (-row.waiting, -row.group.in_flight, row.group.key))

    def _view(self, row: _Row, now: float) -> GroupView:
        group = row.group
        end = group.expected_end(now, self.lab.state.estimates.group(group.key))
        running = sum(
            1 for name in group.slots if any(r.started for r in self.lab.state.slots[name].assigned.values())
        )
        return GroupView(
            group=group_ref(group.key),
            waiting=row.waiting,
            released=group.in_flight,
            running=running,
            slots=tuple(sorted(group.slots)),
            oldest_wait_s=_waited_s(row.oldest(), now),
            installs=group.installs,
            expected_end=end if end is not None and end <= END_OF_TIMES - 1 else None,
        )


def _jobs(*found: Job | None) -> Iterator[Job]:
    return (job for job in found if job is not None)


def _waited_s(job: Job | None, now: float) -> float | None:
    return max(0.0, now - job.arrived_at) if job else None
