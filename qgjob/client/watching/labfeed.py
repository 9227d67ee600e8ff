"""A live view of the whole lab: its overview, its agents, its running jobs, and how each of them ends.

It subscribes, loads a snapshot, then applies events; after a gap it loads the snapshot again. A job that an
event speaks of and no snapshot showed is looked up once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, Self

from bus_schemas.agents import Heartbeat
from bus_schemas.queries import JobState, JobView, Overview
from qgjob.bus.connect import Bus
from qgjob.client.models import LiveEvent, Resync
from qgjob.client.requests import query
from qgjob.client.requests.slots import HEARD_FOR_S
from qgjob.client.watching import live
from qgjob.client.watching.fold import apply_event
from qgjob.clock import Clock
from qgjob.domain.lifecycle import AT_WORK, TERMINAL
from qgjob.errors import NotFoundError, QgjobError, UnreachableError

log = logging.getLogger(__name__)

_AT_WORK: Final[tuple[JobState, ...]] = ("running", "preparing", "dispatched")
_SNAPSHOT: Final = 500
_KNOWN: Final = 20_000
"""Jobs that are remembered; the one that was longest silent is forgotten first."""
_ENDS: Final = 20_000
_TOLD: Final = 5_000
"""Changes that are kept for who reads slowly; of more the latest are told."""
_AGAIN_S: Final = 1.0
_AT_ONCE: Final = 8
_QUIET_S: Final = 6.0
"""A leader publishes the overview every second or two: who is silent for longer is asked."""


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A job changed its state or its slot."""

    job: JobView
    at: float


@dataclass(frozen=True, slots=True)
class AgentChanged:
    """An agent came or went, or one of its slots began or stopped taking work."""

    agent: str
    what: str
    """`connected`, `gone`, or the state of the slot."""
    slot: str | None
    note: str | None
    at: float


Change = JobChanged | AgentChanged


class LabFeed:
    """The lab, kept up to date while this is entered: `async with client.lab_feed() as lab:`.

    `await lab.changes(1.0)` waits for what happens next. `problem` says why all of it may be old.
    """

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self.overview: Overview | None = None
        self.agents: dict[str, Heartbeat] = {}
        self.jobs: OrderedDict[str, JobView] = OrderedDict()
        """Jobs that were heard of, the latest last; those at work are all among them."""
        self.ends: deque[float] = deque(maxlen=_ENDS)
        """When jobs ended for good, oldest first, by the clocks of who ran them."""
        self.problem: str | None = None
        self._bus = bus
        self._clock = clock
        self._last_heartbeat: dict[str, float] = {}
        self._overview_at = 0.0
        self._changes: deque[Change] = deque(maxlen=_TOLD)
        self._stale = True
        self._again_at = 0.0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Subscribe and load; a scheduler that does not answer is a `problem`, not an error."""
        try:
            enter = self._stack.enter_async_context
            self._events = await enter(live.events(self._bus))
            self._overviews = await enter(live.overview(self._bus))
            self._beats = await enter(live.agents(self._bus))
            await self._load()
            self._changes.clear()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Unsubscribe."""
        await self._stack.aclose()

    @property
    def at_work(self) -> list[JobView]:
        """The jobs that slots have now, those running for longest first."""
        found = [job for job in self.jobs.values() if job.state in AT_WORK]
        return sorted(found, key=lambda job: job.attempts[-1].started_at or 0.0 if job.attempts else 0.0)

    async def changes(self, timeout: float) -> list[Change]:
        """Wait for changes to jobs and agents; may be empty after `timeout` seconds."""
        deadline = self._clock.monotonic() + timeout
        while not self._changes and (left := deadline - self._clock.monotonic()) > 0:
            if self._stale and self._clock.monotonic() >= self._again_at:
                await self._load()
                continue
            before = (self.overview, self.problem)
            await self._wait_for_message(min(left, _AGAIN_S))
            await self._apply_messages()
            if (self.overview, self.problem) != before:
                break
        found = list(self._changes)
        self._changes.clear()
        return found

    async def _wait_for_message(self, timeout: float) -> None:
        waits = [asyncio.ensure_future(each.ready()) for each in (self._events, self._overviews, self._beats)]
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _apply_messages(self) -> None:
        now = self._clock.monotonic()
        self._apply_heartbeats(now)
        self._apply_overviews(now)
        unknown: dict[str, float] = {}
        for item in self._events.take(_SNAPSHOT):
            if isinstance(item, Resync):
                self._stale = True
            elif not self._apply_event(item):
                unknown[item.event.job_id] = item.event.at
        await self._look_up(unknown)

    def _apply_heartbeats(self, now: float) -> None:
        for beat in self._beats.take():
            if not isinstance(beat, Resync):
                self._apply_heartbeat(beat)
        for name in [name for name, at in self._last_heartbeat.items() if now - at > HEARD_FOR_S]:
            self._gone(name)

    def _apply_overviews(self, now: float) -> None:
        for overview in self._overviews.take():
            if not isinstance(overview, Resync):
                self.overview = overview
                self._overview_at = now
                if self.problem:
                    self._stale = True
        if now - self._overview_at > _QUIET_S:
            self._stale = True

    def _apply_event(self, item: LiveEvent) -> bool:
        """Whether the job is known."""
        before = self.jobs.get(item.event.job_id)
        after = apply_event(before, item.event)
        if after is not None and after is not before:
            self._set_job(after, item.event.at)
        return after is not None

    async def _look_up(self, unknown: dict[str, float]) -> None:
        async def one(job_id: str, at: float) -> None:
            try:
                self._set_job(await query.job(self._bus, job_id), at)
            except NotFoundError:
                log.debug("nothing is known of %s", job_id)
            except QgjobError as error:
                self._on_unreachable(error)

        ids = list(unknown.items())
        for start in range(0, len(ids), _AT_ONCE):
            await asyncio.gather(*(one(*pair) for pair in ids[start : start + _AT_ONCE]))

    def _set_job(self, job: JobView, at: float) -> None:
        before = self.jobs.pop(job.job_id, None)
        self.jobs[job.job_id] = job
        if len(self.jobs) > _KNOWN:
            self.jobs.popitem(last=False)
        if before is not None and _place(before) == _place(job):
            return
        if job.state in TERMINAL and job.ended_at is not None:
            self.ends.append(job.ended_at)
        self._changes.append(JobChanged(job, at))

    def _apply_heartbeat(self, beat: Heartbeat) -> None:
        if beat.state == "gone":
            self._gone(beat.agent)
            return
        before = self.agents.get(beat.agent)
        self.agents[beat.agent] = beat
        self._last_heartbeat[beat.agent] = self._clock.monotonic()
        if before is None:
            self._changes.append(AgentChanged(beat.agent, "connected", None, None, beat.at))
        states = {slot.name: slot.state for slot in before.slots} if before else {}
        for slot in beat.slots:
            was, now = _taking(states.get(slot.name, "idle")), _taking(slot.state)
            if was != now:
                note = slot.note if now != "in order" else None
                self._changes.append(AgentChanged(beat.agent, now, slot.name, note, beat.at))

    def _gone(self, name: str) -> None:
        self._last_heartbeat.pop(name, None)
        if self.agents.pop(name, None) is not None:
            self._changes.append(AgentChanged(name, "gone", None, None, self._clock.now()))

    async def _load(self) -> None:
        self._again_at = self._clock.monotonic() + _AGAIN_S
        try:
            overview, agents = await asyncio.gather(query.overview(self._bus), query.agents(self._bus))
            pages = [await query.jobs(self._bus, state=state, limit=_SNAPSHOT) for state in _AT_WORK]
            latest = await query.jobs(self._bus, limit=_SNAPSHOT)
        except UnreachableError as error:
            self._on_unreachable(error)
            return
        self._stale = False
        self._overview_at = self._clock.monotonic()
        self.problem = None if overview.leader else "No scheduler leads just now."
        self.overview = overview
        for beat in agents:
            self._apply_heartbeat(beat)
        for name in set(self.agents) - {beat.agent for beat in agents}:
            self._gone(name)
        found = {job.job_id: job for page in (latest, *pages) for job in page}
        for job in sorted(found.values(), key=lambda job: job.updated_at or job.created_at):
            if (known := self.jobs.get(job.job_id)) is None or (known.updated_at or 0) <= (
                job.updated_at or 0
            ):
                self._set_job(job, job.updated_at or job.created_at)
        at_work = {job.job_id for page in pages for job in page}
        for job in [job for job in self.at_work if job.job_id not in found and job.job_id not in at_work]:
            del self.jobs[job.job_id]  # its end was missed, and is too long ago to be listed

    def _on_unreachable(self, error: QgjobError) -> None:
        self.problem = error.message
        self._stale = True


def _place(job: JobView) -> tuple[str, int, str | None, str | None]:
    last = job.attempts[-1] if job.attempts else None
    return (job.state, len(job.attempts), last and last.agent, last and last.slot)


def _taking(state: str) -> str:
    """A slot's state as far as it is worth a line: working and waiting for work are not told apart."""
    return "in order" if state in {"idle", "busy"} else state
