"""A job or a run kept up to date: subscribed first, then a snapshot, then what comes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from bus_schemas import subjects
from bus_schemas.events import END_STATES, Queued
from bus_schemas.requests import GetAnswer, GetQuery, JobView, RunView
from qgjob.bus.connect import Bus
from qgjob.client import live, query
from qgjob.client.fold import apply_event, further
from qgjob.client.ids import kind_of
from qgjob.client.models import LiveEvent, Resync, Submitted
from qgjob.client.verdict import counts_of, run_state_of
from qgjob.clock import Clock
from qgjob.errors import NotFoundError, UnreachableError

log = logging.getLogger(__name__)

_LOOK_AGAIN_S: Final = (0.5, 2.0, 8.0, 30.0)
"""When the snapshot is compared again: the query service may have been behind the events that
were stored before we subscribed, and a subscription has no promise of delivery."""


class Watch:
    """A job or a run that follows its events while it is entered.

    `async with client.watch(run_id) as watch:` loads it (raises `NotFoundError`);
    `await watch.changes()` waits for what happens next. Lost connections and restarted servers
    are sat out: after each the state is loaded anew.
    """

    def __init__(self, bus: Bus, any_id: str, *, clock: Clock, known: Submitted | None = None) -> None:
        self.id = any_id
        self.kind = kind_of(any_id)
        self.problem: str | None = None
        """Why the state may be old just now: no scheduler answers, …."""
        self._bus = bus
        self._clock = clock
        self._known = known is not None
        self._run: RunView | None = None
        self._jobs: dict[str, JobView] = {job.job_id: job for job in known.jobs} if known else {}
        self._size = len(self._jobs)
        self._changed: set[str] = set()
        self._looks = 0
        self._look_at = 0.0
        self._stack = AsyncExitStack()
        self._live: live.Live[LiveEvent] | None = None

    async def __aenter__(self) -> Self:
        """Subscribe and load."""
        if self.kind is None:
            raise NotFoundError(
                f"{self.id!r} is not the id of a job (j_…) or of a run (r_…).",
                hint="`qgjob list` shows the latest jobs.",
            )
        subscription = (
            live.events(self._bus, run_id=self.id)
            if self.kind == "run"
            else live.events(self._bus, job_id=self.id)
        )
        try:
            self._live = await self._stack.enter_async_context(subscription)
            if self._known:
                self._look_at = self._clock.monotonic()
            else:
                self._take(await query.get(self._bus, self.id, clock=self._clock))
                self._plan(0)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unsubscribe."""
        await self._stack.aclose()

    @property
    def jobs(self) -> tuple[JobView, ...]:
        """The jobs as they are now, by position."""
        return tuple(sorted(self._jobs.values(), key=lambda job: job.position))

    @property
    def size(self) -> int:
        """How many jobs there are in all; more than `jobs` while a run is still being read in."""
        return max(self._size, len(self._jobs))

    @property
    def run(self) -> RunView | None:
        """The run without its jobs, its counts and state up to date; None for a single job."""
        if self._run is None:
            return None
        views = self._jobs.values()
        state = run_state_of(views) if len(views) >= self.size else "queued"
        return self._run.model_copy(update={"counts": counts_of(views), "state": state, "jobs": ()})

    @property
    def ended(self) -> bool:
        """Whether every job has ended."""
        return (
            bool(self._jobs)
            and len(self._jobs) >= self.size
            and all(job.state in END_STATES for job in self._jobs.values())
        )

    async def changes(self, timeout: float | None = None) -> frozenset[str]:
        """Wait until jobs have changed and return their ids; none after `timeout` seconds."""
        if self._live is None:
            raise RuntimeError("a watch must be entered first")
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        while not self._changed:
            now = self._clock.monotonic()
            if now >= self._look_at:
                await self._look()
                continue
            left = self._look_at - now if deadline is None else min(self._look_at, deadline) - now
            try:
                await asyncio.wait_for(self._live.ready(), max(left, 0))
            except TimeoutError:
                if deadline is not None and self._clock.monotonic() >= deadline:
                    break
                continue
            self._apply()
        changed = frozenset(self._changed)
        self._changed.clear()
        return changed

    def _apply(self) -> None:
        assert self._live is not None  # noqa: S101  (changes() has checked it)
        for item in self._live.take():
            if isinstance(item, Resync):
                self._plan(0, at_once=True)
                continue
            event = item.event
            if isinstance(event, Queued):
                self._size = max(self._size, event.run_size if self.kind == "run" else 1)
            before = self._jobs.get(event.job_id)
            after = apply_event(before, event)
            if after is None:
                self._plan(0)  # of a job that the snapshot did not have yet
            elif after is not before:
                self._jobs[event.job_id] = after
                self._changed.add(event.job_id)

    def _plan(self, looks: int, *, at_once: bool = False) -> None:
        self._looks = looks
        pause = 0.0 if at_once else _LOOK_AGAIN_S[min(looks, len(_LOOK_AGAIN_S) - 1)]
        self._look_at = self._clock.monotonic() + pause

    async def _look(self) -> None:
        """Compare with the query service, and load everything when it knows more."""
        try:
            if self.kind == "run":
                await self._look_at_run()
            else:
                self._take(await query.get_now(self._bus, self.id))
            self.problem = None
        except NotFoundError as error:
            # Not read in yet, or a projection that is being rebuilt.
            log.debug("%s is not known just now: %s", self.id, error)
        except UnreachableError as error:
            self.problem = error.message
            self._plan(1)
            return
        self._plan(self._looks + 1)

    async def _look_at_run(self) -> None:
        question = GetQuery(id=self.id, limit=0)
        answer = await query.ask(self._bus, subjects.query("get"), question, GetAnswer)
        query.checked(answer.problem)
        if answer.run is None:
            return
        ours = counts_of(self._jobs.values())
        differs = answer.run.counts != ours or answer.run.size != len(self._jobs)
        if differs or self._run is None:
            self._take(await query.get_now(self._bus, self.id))

    def _take(self, found: JobView | RunView) -> None:
        views = found.jobs if isinstance(found, RunView) else (found,)
        if isinstance(found, RunView):
            self._run = found.model_copy(update={"jobs": ()})
            self._size = max(self._size, found.size)
        else:
            self._size = 1
        for view in views:
            before = self._jobs.get(view.job_id)
            after = further(before, view)
            if after is not before:
                self._jobs[view.job_id] = after
                self._changed.add(view.job_id)
