"""A job or a run kept up to date: it subscribes, loads a snapshot, then applies events."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Final, Self

from bus_schemas import subjects
from bus_schemas.events import AnyEvent, Queued
from bus_schemas.queries import GetAnswer, GetQuery, JobView, RunView
from qgjob.bus.connect import Bus
from qgjob.client.ids import checked_any_id, kind_of
from qgjob.client.models import LiveEvent, Resync, Submitted
from qgjob.client.requests import query
from qgjob.client.requests.request import ask
from qgjob.client.watching import live
from qgjob.client.watching.fold import apply_event, is_announced, with_spec_of
from qgjob.clock import Clock
from qgjob.domain.lifecycle import TERMINAL
from qgjob.domain.verdict import counts_of, run_state_of
from qgjob.errors import NotFoundError, UnreachableError

log = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 30.0
"""How often the snapshot is compared again: a subscription has no promise of delivery."""
LOST: Final = "The connection to the server is lost."
_OPEN: Final = frozenset({"queued", "running"})
"""States of a run that is not over."""
_SOON_S: Final = 0.5
_SETTLE_S: Final = 5.0
_SETTLE_PAUSE_S: Final = 0.2


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
        self.held: str | None = None
        """Why none of what waits starts: a pause, a held build, held slots; set by `wait`."""
        self._reported_problem: str | None = None
        """The problem when `changes` returned last: another may come up while nobody waits there."""
        self._nudged = False
        self._bus = bus
        self._clock = clock
        self._known = known is not None
        self._may_be_forgotten = known is not None and known.accepted_before
        self._stale = True
        self._run: RunView | None = None
        self._jobs: dict[str, JobView] = {job.job_id: job for job in known.jobs} if known else {}
        self._ordered: tuple[JobView, ...] | None = None
        self._size = len(self._jobs)
        self._last_event_seq: dict[str, int] = {}
        """The place in the stream of the last event of each job."""
        self._loaded: dict[str, int] = {}
        """Up to where each view contains what happened since it was loaded."""
        self._last_seq = 0
        self._changed: set[str] = set()
        self._next_check_at = 0.0
        self._stack = AsyncExitStack()
        self._live: live.Live[LiveEvent] | None = None

    async def __aenter__(self) -> Self:
        """Subscribe and load."""
        checked_any_id(self.id)
        subscription = (
            live.events(self._bus, run_id=self.id)
            if self.kind == "run"
            else live.events(self._bus, job_id=self.id)
        )
        try:
            self._live = await self._stack.enter_async_context(subscription)
            self._bus.on_disconnect.append(self._on_lost)
            self._stack.callback(self._bus.on_disconnect.remove, self._on_lost)
            self._check_in(0)
            if not self._known:
                self._apply_snapshot(await query.look_up(self._bus, self.id))
                self._changed.clear()
                self._check_in(LOOK_AGAIN_S)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Unsubscribe."""
        await self._stack.aclose()

    @property
    def jobs(self) -> tuple[JobView, ...]:
        """The jobs as they are now, by position."""
        if self._ordered is None:
            self._ordered = tuple(sorted(self._jobs.values(), key=lambda job: job.position))
        return self._ordered

    @property
    def size(self) -> int:
        """How many jobs there are in all; more than `jobs` while a run is still being read in."""
        return max(self._size, len(self._jobs))

    @property
    def run(self) -> RunView | None:
        """The run without its jobs, its counts and state up to date; None for a single job."""
        if self._run is None:
            return None
        if not self._complete:
            return self._run  # some jobs are not known: only the query service can count them
        views = self._jobs.values()
        update = {"counts": counts_of(views), "state": run_state_of(views), "jobs": ()}
        return self._run.model_copy(update=update)

    @property
    def ended(self) -> bool:
        """Whether every job has ended."""
        # Of a run that was refused jobs never came to be known, of an old one some are not kept any more.
        over = self._run is not None and self._run.state not in _OPEN
        return (self._complete or over) and all(job.state in TERMINAL for job in self._jobs.values())

    @property
    def _complete(self) -> bool:
        """Whether all jobs are known."""
        return bool(self._jobs) and len(self._jobs) >= self.size

    async def changes(self, timeout: float | None = None) -> frozenset[str]:
        """Wait until jobs have changed and return their ids.

        None of them after `timeout` seconds, and when `problem` has changed.
        """
        if self._live is None:
            raise RuntimeError("a watch must be entered first")
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        while not self._changed and not self._nudged and self.problem == self._reported_problem:
            now = self._clock.monotonic()
            if now >= self._next_check_at:
                await self._check()
                continue
            left = self._next_check_at - now if deadline is None else min(self._next_check_at, deadline) - now
            try:
                async with asyncio.timeout(max(left, 0)):
                    await self._live.ready()
            except TimeoutError:
                if deadline is not None and self._clock.monotonic() >= deadline:
                    break
                continue
            self._apply()
        self._reported_problem = self.problem
        self._nudged = False
        changed = frozenset(self._changed)
        self._changed.clear()
        return changed

    def nudge(self) -> None:
        """Let `changes` return though nothing has changed."""
        self._nudged = True
        if self._live is not None:
            self._live.nudge()

    def _on_lost(self) -> None:
        """Report a lost connection at once: the next comparison may be half a minute away."""
        self.problem = LOST
        if self._live is not None:
            self._live.nudge()

    async def settle(self) -> None:
        """Reload what events do not carry, such as the scheduler's own times, if a scheduler answers.

        A test may have ended before the scheduler told what job it is: that is waited for.
        """
        try:
            async with asyncio.timeout(_SETTLE_S):
                self._apply_snapshot(await query.look_up(self._bus, self.id))
                while not all(map(is_announced, self.jobs)):
                    await asyncio.sleep(_SETTLE_PAUSE_S)
                    self._apply_snapshot(await query.look_up(self._bus, self.id))
        except (UnreachableError, NotFoundError, TimeoutError) as error:
            log.debug("%s is shown as its events tell: %s", self.id, error)

    def _apply(self) -> None:
        assert self._live is not None  # noqa: S101  (changes() has checked it)
        for item in self._live.take():
            if isinstance(item, Resync):
                self._reload_all()
                continue
            if 0 < item.seq <= self._last_seq:
                self._reload_all()
            self._last_seq = item.seq or self._last_seq
            job_id = item.event.job_id
            if not item.seq or item.seq > max(
                self._last_event_seq.get(job_id, 0), self._loaded.get(job_id, 0)
            ):
                self._last_event_seq[job_id] = item.seq
                self._apply_one(item.event)

    def _reload_all(self) -> None:
        """Reload all: events were missed, or the server lost its last ones and reuses their sequences."""
        self._last_event_seq.clear()
        self._loaded.clear()
        self._stale = True
        self._check_in(0)

    def _apply_one(self, event: AnyEvent) -> None:
        if isinstance(event, Queued):
            self._size = max(self._size, event.run_size if self.kind == "run" else 1)
        before = self._jobs.get(event.job_id)
        after = apply_event(before, event)
        if after is None:
            self._check_in(_SOON_S)  # of a job that the snapshot did not have yet
        elif after is not before:
            self._set_view(after)

    def _check_in(self, seconds: float) -> None:
        self._next_check_at = self._clock.monotonic() + seconds

    async def _check(self) -> None:
        """Compare with the query service, and reload all when they differ."""
        self._check_in(LOOK_AGAIN_S)
        try:
            if self.kind == "job" or self._stale or self._run is None or await self._differs():
                self._apply_snapshot(await query.look_up(self._bus, self.id))
            self._stale = False
            self.problem = None
        except NotFoundError as error:
            if self._may_be_forgotten:
                raise
            # Of a run that was just submitted, or a projection that is being rebuilt.
            log.debug("%s is not known just now: %s", self.id, error)
        except UnreachableError as error:
            self.problem = error.message
            self._check_in(_SOON_S)

    async def _differs(self) -> bool:
        """Whether the run's counts are others than those of our views."""
        question = GetQuery(id=self.id, limit=0)
        answer = await ask(self._bus, subjects.query("get"), question, GetAnswer)
        if answer.run is None:
            return True
        return answer.run.counts != counts_of(self._jobs.values()) or answer.run.size != len(self._jobs)

    def _apply_snapshot(self, known: query.Known) -> None:
        found = known.found
        if isinstance(found, RunView):
            self._run = found.model_copy(update={"jobs": ()})
            self._size = max(self._size, found.size)
        else:
            self._size = 1
        for view in found.jobs if isinstance(found, RunView) else (found,):
            if known.as_of is not None:
                if known.as_of < self._last_event_seq.get(view.job_id, 0):
                    continue  # an event came meanwhile that this does not know yet
                self._loaded[view.job_id] = known.as_of
            before = self._jobs.get(view.job_id)
            if before is not None and not is_announced(view) and is_announced(before):
                view = with_spec_of(before, view)  # noqa: PLW2901
            if before != view:
                self._set_view(view)

    def _set_view(self, view: JobView) -> None:
        self._jobs[view.job_id] = view
        self._ordered = None
        self._changed.add(view.job_id)
