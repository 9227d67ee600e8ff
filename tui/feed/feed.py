"""The asyncio side: everything the store knows came through here.

Subscribe first, then take a snapshot, then apply what comes. Nothing asks the scheduler at
intervals: it is asked at the start, after a gap, and again only while it does not answer. The one
thing sent at intervals is a PING to the server, so that silence and death can be told apart.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

from bus_schemas.agents import Heartbeat
from bus_schemas.queries import JobState, Overview
from qgjob.client import Client, Live, LiveEvent, Resync, ServerOptions, open_client
from qgjob.errors import NotAllowedError, NotFoundError, QgjobError, UsageError
from qgjob.waiting import set_within
from tui.feed import signs_of_life
from tui.feed.job_pages import JobPages, Pace
from tui.platform import gc_tuning
from tui.store.link import BEHIND_AFTER_S, Phase
from tui.store.store import Store

_AT_WORK: Final[tuple[JobState, ...]] = ("running", "preparing", "dispatched")
_MAX_REST_S: Final = 5.0
_RETRY_S: Final = (0.25, 0.5, 1.0, 2.0)
_ASK_AGAIN_S: Final = (1.0, 2.0, 5.0, 10.0)
_SECOND_LOOK_S: Final = 5.0
_CONCURRENT_LOOKUPS: Final = 8
"""How many single jobs are asked for at a time."""
_MAX_LOOKUPS: Final = 1000
_FREEZE_EVERY_PAGES: Final = 10
_PAGE_PAUSE_S: Final = 0.005
"""Between two pages of jobs: keys and what comes live go first."""


class Feed:
    """Keeps a store up to date until it is cancelled."""

    def __init__(
        self, options: ServerOptions, store: Store, on_page: Callable[[], object] | None = None
    ) -> None:
        self._options = options
        self._store = store
        self._on_page = on_page
        """Called when the first page of jobs is there: somebody waits for it."""
        self._client: Client | None = None
        self._connected = asyncio.Event()
        self._resync_requested = asyncio.Event()
        self._resync_reason = ""
        self._lost_at = 0.0
        self._last_seq = 0
        self._first_seq = 0
        """Of the first event that was heard since the connection was there; 0: none was."""
        self._covered: int | None = None
        """The last event that the last snapshot told of, if it said so."""
        self._pending_lookups: set[str] = set()
        self._lookup_requested = asyncio.Event()
        self.resyncs = 0
        """How often everything was read."""

    async def run(self) -> None:
        """Connect, and stay connected.

        Raises `NotAllowedError` or `UsageError`, which waiting does not mend; a server that is not
        there is waited for.
        """
        tries = 0
        while True:
            try:
                async with open_client(self._options, clock=self._store.clock) as client:
                    tries = 0
                    await self._serve(client)
            except (NotAllowedError, UsageError):
                raise
            except QgjobError as error:
                self._set_phase("connecting", error.message, error.hint or "")
            finally:
                self._client = None
                self._connected.clear()
            await asyncio.sleep(_RETRY_S[min(tries, len(_RETRY_S) - 1)])
            tries += 1

    async def client(self) -> Client:
        """The connected client; waits for it."""
        while self._client is None:
            await self._connected.wait()
        return self._client

    def request_resync(self, why: str = "") -> None:
        """Take a new snapshot of everything; `why` is said when it is done."""
        self._resync_reason = why or self._resync_reason
        self._store.jobs.begin_gap()
        self._resync_requested.set()

    # --- One connection ----------------------------------------------------------------------

    async def _serve(self, client: Client) -> None:
        undo = client.on_connection(self._on_connection)
        try:
            async with (
                client.live_events() as events,
                client.live_overview() as overview,
                client.live_agents() as agents,
                asyncio.TaskGroup() as group,
            ):
                self._last_seq = -abs(self._last_seq)
                self._store.link.begin_anew(self._store.clock.monotonic())
                self._client = client
                self._connected.set()
                self._set_phase("loading")
                self.request_resync()
                group.create_task(self._follow_events(events), name="events")
                group.create_task(self._follow_overview(overview), name="overview")
                group.create_task(self._follow_agents(agents), name="agents")
                group.create_task(self._resync_loop(client), name="snapshots")
                group.create_task(self._lookup_loop(client), name="single jobs")
                group.create_task(signs_of_life.watch(client, self._store), name="signs of life")
        finally:
            undo()

    def _on_connection(self, up: bool) -> None:
        now = self._store.clock.monotonic()
        self._store.link.begin_anew(now)
        if up:
            away = max(0, round(now - self._lost_at))
            self._set_phase("loading")
            self.request_resync(f"Reconnected after {away} s; everything was read again.")
            # Where nothing happens, nothing tells that what was read was behind.
            asyncio.get_running_loop().call_later(_SECOND_LOOK_S, self._resync_requested.set)
        else:
            self._lost_at = now
            self._set_phase("reconnecting", "The connection was lost.")

    def _set_phase(self, phase: Phase, reason: str = "", hint: str = "") -> None:
        self._store.link.set_phase(phase, self._store.clock.monotonic(), reason, hint)

    # --- What comes --------------------------------------------------------------------------

    async def _follow_events(self, live: Live[LiveEvent]) -> None:
        store = self._store
        unreadable = 0
        while True:
            await live.ready()
            for item in live.take(100):
                if isinstance(item, Resync):
                    self._on_resync(item)
                    continue
                self._check_sequence(item.seq)
                job_id = item.event.job_id
                store.apply_event(item.event, item.seq)
                job = store.jobs.get(job_id)
                if job is not None and job.spec is None and len(self._pending_lookups) < _MAX_LOOKUPS:
                    self._pending_lookups.add(job_id)
                    self._lookup_requested.set()
            store.unreadable += live.unreadable - unreadable
            unreadable = live.unreadable
            self._record_activity()
            await asyncio.sleep(0)  # keys and timers come before the next hundred

    async def _follow_overview(self, live: Live[Overview]) -> None:
        while True:
            await live.ready()
            for item in live.take():
                if not isinstance(item, Resync):
                    link, now = self._store.link, self._store.clock.monotonic()
                    self._store.apply_overview(item)
                    if link.query_error and not link.hears_leader(now):
                        self._resync_requested.set()  # a scheduler is there again
                    link.record_leader(now)
            self._record_activity()
            lag = self._store.link.lag_s(self._store.clock.monotonic())
            if lag >= BEHIND_AFTER_S:  # each tells all that the last one did, in tens of thousands of bytes
                await live.rest(min(lag, _MAX_REST_S))

    async def _follow_agents(self, live: Live[Heartbeat]) -> None:
        while True:
            await live.ready()
            for item in live.take():
                if not isinstance(item, Resync):
                    self._store.apply_heartbeat(item)
            self._record_activity()

    def _on_resync(self, item: Resync) -> None:
        # The first event behind a gap has any number; after a loss of the connection that is said
        # by the reconnect itself.
        self._last_seq = 0 if item.reason == "overrun" else -abs(self._last_seq)
        if item.reason == "overrun":
            self.request_resync("Events came faster than they could be read; everything was read again.")

    def _check_sequence(self, seq: int) -> None:
        """Every stored event comes here: a number left out is a gap, a smaller one another stream."""
        last, self._last_seq = self._last_seq, seq
        if last <= 0:
            self._first_seq = seq
            if self._is_snapshot_behind():
                self.request_resync()
        if last < 0 and seq <= -last:
            self._store.reset()
            self.request_resync("The server's events begin anew; everything was read again.")
        elif last > 0 and seq > last + 1:
            missed = seq - last - 1
            self.request_resync(f"{missed} events were missed; everything was read again.")
        elif last > 0 and seq <= last:
            self._last_seq = last if last - seq < 1000 else seq  # repeated, or late
            if last - seq >= 1000:
                self._store.reset()
                self.request_resync("The server's events begin anew; everything was read again.")

    def _is_snapshot_behind(self) -> bool:
        """Whether events are in neither: after a restart of the server the scheduler is behind for a time."""
        return self._covered is not None and self._covered < self._first_seq - 1

    def _record_activity(self) -> None:
        self._store.link.record_activity(self._store.clock.monotonic())

    # --- Snapshots ---------------------------------------------------------------------------

    async def _resync_loop(self, client: Client) -> None:
        failures = 0
        while True:
            await self._resync_requested.wait()
            self._resync_requested.clear()
            why, self._resync_reason = self._resync_reason, ""
            self._store.link.snapshot_loading = True
            try:
                await self._load_snapshot(client)
            except NotAllowedError as error:
                self._store.link.set_query_error(error.message, not_allowed=True)
                self._set_phase("live")
                failures = len(_ASK_AGAIN_S)
            except QgjobError as error:
                self._resync_reason = why or self._resync_reason
                if client.connected:
                    self._store.link.set_query_error(error.message)
                    self._set_phase("live")
            else:
                self.resyncs += 1
                if why:
                    self._store.link.add_notice(why)
                if not self._is_snapshot_behind():
                    if not self._resync_requested.is_set():
                        self._store.jobs.end_gap()
                    failures = 0
                    continue
            finally:
                self._store.link.snapshot_loading = False
                self._store.link.changed = True
            delay = _ASK_AGAIN_S[min(failures, len(_ASK_AGAIN_S) - 1)]
            failures += 1
            await set_within(self._resync_requested, delay)
            self._resync_requested.set()

    async def _load_snapshot(self, client: Client) -> None:
        """What is waited for comes first: the newest jobs, those at work, the agents; then all others."""
        store, self._covered = self._store, None
        pace = Pace(lambda: store.link.lag_s(store.clock.monotonic()))
        store.jobs.begin_snapshot()
        newest = JobPages(client, pace)
        at_work = [JobPages(client, pace, state) for state in _AT_WORK]
        overview, latest, running = await asyncio.gather(
            client.overview(), newest.next(), asyncio.gather(*(pages.next() for pages in at_work))
        )
        # Those of a large lab are hundreds of thousands of bytes, and each speaks within five seconds.
        agents = [] if pace.slow else await client.agents()
        store.apply_overview(overview)
        for beat in agents:
            store.apply_heartbeat(beat, snapshot=True)
        for view in itertools.chain(*running):
            store.apply_view(view)
        news = [store.apply_view(view) for view in latest]
        store.link.ever_answered = True
        store.link.set_query_error("" if overview.leader else "No scheduler leads just now.")
        if overview.leader:
            store.link.record_leader(store.clock.monotonic())
        else:
            store.link.leader_seen_at = None
        self._set_phase("live")
        if self._on_page is not None:
            self._on_page()
        gc_tuning.freeze()
        for pages in at_work:
            while not pages.done:
                for view in await pages.next():
                    store.apply_view(view)
        read = 1
        while not newest.done:
            if not any(news) and not store.jobs.missing_from_snapshot():
                break  # everything older was known, and nothing of it was still open
            await asyncio.sleep(_PAGE_PAUSE_S)
            news = [store.apply_view(view) for view in await newest.next()]
            read += 1
            if read % _FREEZE_EVERY_PAGES == 0:
                gc_tuning.freeze()
        gc_tuning.freeze()
        told = [pages.as_of for pages in (newest, *at_work) if pages.as_of is not None]
        self._covered = min(told, default=None)
        self._pending_lookups.update(store.jobs.missing_from_snapshot()[:_MAX_LOOKUPS])
        if self._pending_lookups:
            self._lookup_requested.set()

    async def _lookup_loop(self, client: Client) -> None:
        """Ask for jobs that events spoke of and no snapshot showed."""
        while True:
            await self._lookup_requested.wait()
            self._lookup_requested.clear()
            while self._pending_lookups:
                some = [
                    self._pending_lookups.pop()
                    for _ in range(min(_CONCURRENT_LOOKUPS, len(self._pending_lookups)))
                ]
                await asyncio.gather(*(self._look_up(client, job_id) for job_id in some))

    async def _look_up(self, client: Client, job_id: str) -> None:
        try:
            view = await client.job(job_id)
        except NotFoundError:
            job = self._store.jobs.get(job_id)
            if job is not None and job.spec is None:
                return  # the projection is behind, or gone: what the events say is all there is
            self._store.jobs.drop(job_id)
        except QgjobError:
            return  # the next snapshot asks again
        else:
            self._store.apply_view(view)
