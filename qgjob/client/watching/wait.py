"""Wait until a job or a run has ended, whatever restarts meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Final, Self

from bus_schemas.agents import Heartbeat
from bus_schemas.queries import JobView
from qgjob.bus.connect import Bus
from qgjob.client.models import Resync, Submitted, Waited, WaitOptions
from qgjob.client.requests import control, query
from qgjob.client.requests.slots import LiveSlots, NoSlotTimer
from qgjob.client.watching import live
from qgjob.client.watching.watch import Watch
from qgjob.clock import Clock
from qgjob.domain.lifecycle import AT_WORK, TERMINAL
from qgjob.domain.verdict import spoiler_of, why_no_slot
from qgjob.errors import NotFoundError, QgjobError, UnreachableError
from qgjob.waiting import set_within

log = logging.getLogger(__name__)

TELL_EVERY_S: Final = 10.0
"""How often it is told how things are while nothing changes: CI ends what is silent for long."""
BEGIN_WITHIN_S: Final = 30.0
"""How long nobody may answer at first, as at a submit: whether there is such a run is not known yet."""
_BEGIN_AGAIN_S: Final = 0.5
_LOOK_AT_SLOTS_S: Final = 5.0
_HOLDS_AFTER_S: Final = 5.0
_LOOK_AT_HOLDS_S: Final = 15.0
_WAITING: Final = frozenset({"queued", "dispatched"})
"""States in which a slot is all that a job lacks."""
LOST_AFTER_S: Final = 60.0
"""How long a job at work must have had no slot that could run it: by then its lease is over."""


async def wait(
    bus: Bus,
    any_id: str,
    options: WaitOptions,
    *,
    clock: Clock,
    known: Submitted | None = None,
    on_change: Callable[[Watch], None] | None = None,
) -> Waited:
    """See `Client.wait`."""
    started = clock.monotonic()
    deadline = None if options.timeout_s is None else started + options.timeout_s
    async with contextlib.AsyncExitStack() as stack:
        watch = Watch(bus, any_id, known=known, clock=clock)
        try:
            # A silent server holds the first question for longer than there may be time.
            async with asyncio.timeout(options.timeout_s):
                await _begin(stack, watch, clock, on_change)
                heartbeats = await stack.enter_async_context(live.agents(bus))
        except TimeoutError:
            return Waited(id=any_id, run=watch.run, jobs=watch.jobs, timed_out=True, rules=options.rules)
        slots = _SlotWatch(bus, heartbeats, options.no_slot_grace_s, clock)
        stop = _FailFast(bus, any_id, options)
        holds = _HoldWatch(bus, watch)
        async with _BackgroundChecks(watch, stop, slots) as checks, holds.running():
            changed = True
            while True:
                if on_change is not None:
                    on_change(watch)
                if watch.ended:
                    await checks.finish()
                    await watch.settle()  # a job may have been retried by now
                now = clock.monotonic()
                if watch.ended or (deadline is not None and now >= deadline):
                    return Waited(
                        id=any_id,
                        run=watch.run,
                        jobs=watch.jobs,
                        timed_out=not watch.ended,
                        rules=options.rules,
                        stopped_by=stop.because,
                    )
                if changed:
                    checks.request_check()
                changed = False
                pause = TELL_EVERY_S if deadline is None else min(TELL_EVERY_S, deadline - now)
                # A server that is away may hold a question for longer than there is time.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await watch.changes()
                        changed = True


async def _begin(
    stack: contextlib.AsyncExitStack, watch: Watch, clock: Clock, on_change: Callable[[Watch], None] | None
) -> None:
    """Enter the watch; a scheduler or store that is just being restarted is waited for, as it is later on."""
    give_up_at = clock.monotonic() + BEGIN_WITHIN_S
    while True:
        try:
            await stack.enter_async_context(watch)
        except UnreachableError as error:
            if clock.monotonic() >= give_up_at:
                raise
            watch.problem = error.message
            if on_change is not None:
                on_change(watch)
            await asyncio.sleep(_BEGIN_AGAIN_S)
        else:
            watch.problem = None
            return


class _BackgroundChecks:
    """Runs checks beside the watch: while one of them waits for an answer, changes are still reported."""

    def __init__(self, watch: Watch, stop: _FailFast, slots: _SlotWatch) -> None:
        self._watch = watch
        self._stop = stop
        self._slots = slots
        self._due = asyncio.Event()
        self._acting = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start; the first check is due at once."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._watch.nudge())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel what still runs."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def request_check(self) -> None:
        """Trigger a check after a change. Raises what ended the attendant, if anything has."""
        self._due.set()
        if self._task is not None and self._task.done():
            self._task.result()

    async def finish(self) -> None:
        """Wait for the check that is under way."""
        async with self._acting:
            pass

    async def _run(self) -> None:
        while True:
            self._due.clear()
            async with self._acting:
                await self._stop.look(self._watch.jobs)
                await self._slots.look(self._watch.jobs)
            await set_within(self._due, self._slots.next_look_in)


class _FailFast:
    """Cancels the remaining jobs once the run cannot pass any more."""

    def __init__(self, bus: Bus, any_id: str, options: WaitOptions) -> None:
        self.because: JobView | None = None
        self._bus = bus
        self._id = any_id
        self._options = options

    async def look(self, jobs: tuple[JobView, ...]) -> None:
        """Look whether it is time to, and do it; what cannot be done now is tried at the next look."""
        if not self._options.fail_fast or self.because is not None:
            return
        spoiler = spoiler_of(jobs, self._options.rules)
        if spoiler is None:
            return
        word = "flaky" if spoiler.flaky else spoiler.state.replace("_", " ")
        try:
            await control.cancel(self._bus, self._id, reason=f"fail-fast: {spoiler.title} {word}"[:1000])
        except QgjobError as error:
            log.debug("cancelling the rest of %s: %s", self._id, error)
        else:
            self.because = spoiler


class _HoldWatch:
    """Finds what blocks all jobs from starting (a pause, a held build); it only reports that."""

    def __init__(self, bus: Bus, watch: Watch) -> None:
        self._bus = bus
        self._watch = watch

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Look now and then for the time of a block."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        pause = _HOLDS_AFTER_S
        while True:
            await asyncio.sleep(pause)
            await self._look()
            pause = _LOOK_AT_HOLDS_S

    async def _look(self) -> None:
        """Ask while jobs wait and none is at work."""
        jobs = [job for job in self._watch.jobs if job.state not in TERMINAL]
        if not jobs or any(job.state in AT_WORK for job in jobs):
            return
        from qgjob.client.watching.standstill import (
            standstill,  # most waits need none of the placement's words
        )

        try:
            overview, agents = await asyncio.gather(query.overview(self._bus), query.agents(self._bus))
        except QgjobError as error:
            log.debug("what holds the jobs up is not known just now: %s", error)
            return
        slots = [(f"{agent.agent}/{slot.name}", slot) for agent in agents for slot in agent.slots]
        told = standstill(jobs, overview, slots)
        if told != self._watch.held:
            self._watch.held = told
            self._watch.nudge()


class _SlotWatch:
    """Cancels jobs that no slot could run during the whole grace period, or could go on with."""

    def __init__(
        self, bus: Bus, heartbeats: live.Live[Heartbeat], grace_s: float | None, clock: Clock
    ) -> None:
        self.cancelled = set[str]()
        self._bus = bus
        self._heartbeats = heartbeats
        self._timer = None if grace_s is None else NoSlotTimer(grace_s)
        self._lost_timer = NoSlotTimer(max(grace_s or 0.0, LOST_AFTER_S))
        self._slots = LiveSlots()
        self._loaded = False
        self._clock = clock
        self._next = 0.0

    @property
    def next_look_in(self) -> float:
        """Seconds until the slots should be looked at again."""
        return max(self._next - self._clock.monotonic(), 0.0)

    async def look(self, jobs: tuple[JobView, ...]) -> None:
        """Look at the slots, if it is time to, and cancel what is overdue."""
        now = self._clock.monotonic()
        self._listen(now)
        if self._timer is None:
            self._next = now + _LOOK_AT_SLOTS_S
            return
        if now < self._next:
            return
        pace = min(_LOOK_AT_SLOTS_S, max(self._timer.grace_s / 4, 0.05))
        self._next = now + pace
        left = [job for job in jobs if job.state not in TERMINAL and job.job_id not in self.cancelled]
        if not left:
            return
        # Nobody is heard: that may be the connection, and the time without an answer does not count.
        if not (self._loaded and self._slots.slots(now)):
            if not await self._load():
                return
            now = self._clock.monotonic()
        # Heartbeats may have been missed: the scheduler's own list has the last word.
        if self._overdue(self._timer, left, now) and await self._load():
            now = self._clock.monotonic()
            self._listen(now)  # it may be there only since the connection is
            await self._cancel(self._overdue(self._timer, left, now))

    def _overdue(self, timer: NoSlotTimer, jobs: list[JobView], now: float) -> dict[str, str]:
        """What waits for too long for a slot, and what is at work on one that has been gone for too long."""
        slots = self._slots.slots(now)
        waiting = timer.overdue((job for job in jobs if job.state in _WAITING), slots, now)
        return waiting | self._lost_timer.overdue((job for job in jobs if job.state in AT_WORK), slots, now)

    def _listen(self, now: float) -> None:
        for item in self._heartbeats.take():
            if not isinstance(item, Resync):
                self._slots.heard(item, now)
            elif item.reason == "reconnected":
                self._start_anew()
            else:
                self._loaded = False

    def _start_anew(self) -> None:
        """Forget for how long there was no slot: after an outage agents need time to be heard again."""
        self._loaded = False
        self._lost_timer.reset()
        if self._timer is not None:
            self._timer.reset()

    async def _load(self) -> bool:
        try:
            agents = await query.agents(self._bus)
        except UnreachableError as error:
            log.debug("which agents there are is not known just now: %s", error)
            self._start_anew()
            return False
        self._slots.reset(agents, self._clock.monotonic())
        self._loaded = True
        return True

    async def _cancel(self, overdue: dict[str, str]) -> None:
        async def one(job_id: str, missing: str) -> None:
            try:
                await control.cancel(self._bus, job_id, reason=why_no_slot(missing))
            except NotFoundError:
                return
            except QgjobError as error:
                log.debug("cancelling %s: %s", job_id, error)  # the next check tries again
                return
            self.cancelled.add(job_id)

        for start in range(0, len(overdue), 50):
            some = list(overdue.items())[start : start + 50]
            await asyncio.gather(*(one(job_id, missing) for job_id, missing in some))
