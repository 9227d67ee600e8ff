"""The duties of a reign and how they are wired together: who tells whom what."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from bus_schemas import streams
from qgjob.bus.connect import Bus
from qgjob.bus.publisher import Publisher
from qgjob.clock import Clock
from qgjob.domain.placement.events import Event, Expire, unknown_end
from qgjob.domain.placement.model import GroupKey
from qgjob.scheduler.attempts.chains import Chains
from qgjob.scheduler.attempts.lost_jobs import LostJobs
from qgjob.scheduler.attempts.reaper import Reaper
from qgjob.scheduler.backlog.entries import Backlog, Entry
from qgjob.scheduler.backlog.runs import Runs
from qgjob.scheduler.backlog.watermark import Watermark
from qgjob.scheduler.control.arrival import Arrival
from qgjob.scheduler.control.bulk import Bulk, Operation, for_each
from qgjob.scheduler.control.cancels import Cancels, FindJobs
from qgjob.scheduler.control.explainer import Explainer
from qgjob.scheduler.control.priorities import Priorities
from qgjob.scheduler.control.requests import Control, Verb
from qgjob.scheduler.control.retries import Retries
from qgjob.scheduler.dispatch.bindings_first import BindingsFirst
from qgjob.scheduler.dispatch.dispatcher import Dispatcher
from qgjob.scheduler.dispatch.group_consumers import GroupConsumers
from qgjob.scheduler.dispatch.holds import Holds
from qgjob.scheduler.dispatch.lab import Lab
from qgjob.scheduler.dispatch.learning import Learning
from qgjob.scheduler.dispatch.rulebook import RuleBook
from qgjob.scheduler.dispatch.slots import Slots
from qgjob.scheduler.intake.crons import Crons
from qgjob.scheduler.intake.file_retention import FileRetention
from qgjob.scheduler.intake.intake import Intake
from qgjob.scheduler.intake.superseding import Superseding
from qgjob.scheduler.leadership.election import Mandate
from qgjob.scheduler.leadership.fence import Fence
from qgjob.scheduler.leadership.recovery import Inheritance
from qgjob.scheduler.queries.dead_letters import DeadLetters
from qgjob.scheduler.queries.overview import OverviewPublisher
from qgjob.store.reader import Reader

log = logging.getLogger(__name__)

GATHER_S = 0.1
"""For how long events are gathered that nobody waits for: what a reader sees is drawn four times a second."""


@dataclass(frozen=True, slots=True)
class ReignSettings:
    """What an operator may set."""

    ack_wait_s: float = streams.ACK_WAIT_S
    """How long a lease on released work lasts without being renewed."""
    open_run_s: float = 60.0
    """How long a run may stay incomplete before it is refused as a whole."""


class Parts:
    """The duties of a reign, made from what it found and wired together.

    Some need each other: what is made later is reached through a method, called only when all are made.
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        mandate: Mandate,
        found: Inheritance,
        *,
        settings: ReignSettings,
        find_jobs: FindJobs,
        reader: Reader,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._mandate = mandate
        self._settings = settings
        self._find_jobs = find_jobs
        self._bindings_first = BindingsFirst()
        self.inheritance = found
        self.backlog = Backlog()
        self.ready = asyncio.Event()
        self.events = Publisher(bus, after=self._bindings_first.until_jobs_started, gather_s=GATHER_S)
        self.rulebook = RuleBook(bus, clock, self._feed)
        self.crons = Crons(bus, clock)
        self.file_retention = FileRetention(bus, clock, self.crons.plans)
        self.dispatcher = self._make_dispatcher()
        self.lab = Lab(clock, self.dispatcher.bind, self.dispatcher.release, self._on_expire)
        self.dead_letters = DeadLetters(bus, lambda: setattr(self.lab, "changed", True))
        agents: dict[str, set[str]] = {}
        self.holds = Holds(bus, clock, mandate.epoch, self.lab.state, self.lab.feed, agents)
        self.slots = Slots(bus, clock, self.lab, self.dispatcher, self.holds, agents)
        self.cancels = Cancels(
            bus, clock, self.lab, self.backlog, find_jobs, self._wait_for_arrival, self._on_already_ended
        )
        self.priorities = Priorities(
            bus,
            clock,
            self.backlog,
            self.events,
            self.lab.feed,
            find_jobs,
            self._wait_for_arrival,
            self.ready,
        )
        self.bulk = self._make_bulk()
        self.control = Control(bus, self._verbs(), self.ready)
        runs = Runs(bus)
        self.superseding = Superseding(bus, runs, self.bulk.verb("cancel"), self.ready)
        self.intake = self._make_intake(runs)
        self.chains = self._make_chains()
        self._inherit()
        self.reaper = Reaper(
            bus, clock, self.lab, self.backlog, self.cancels, self.dispatcher, settings.ack_wait_s
        )
        self.lost_jobs = LostJobs(bus, clock, self.backlog, reader, self.ready)
        self.learning = Learning(bus, clock, self.lab.state.estimates, self.lab.state.stats)
        self.overview = self._make_overview()

    def _make_dispatcher(self) -> Dispatcher:
        ack_wait_s, found = self._settings.ack_wait_s, self.inheritance
        return Dispatcher(
            bus=self._bus,
            clock=self._clock,
            epoch=self._mandate.epoch,
            fence=Fence(found.fence, copies=found.copies),
            backlog=self.backlog,
            events=self.events,
            ack_wait_s=ack_wait_s,
            on_already_ended=lambda entry, ended: self._drop_ended(entry, ended.state),
            on_gone=lambda release: self._feed(unknown_end(release.job.job_id, release.job.attempt)),
            consumers=GroupConsumers(self._bus, self._clock, ack_wait_s, self._in_use, self._feed),
            bound_group=self._bound_group,
            bindings_first=self._bindings_first,
        )

    def _make_bulk(self) -> Bulk:
        retries = Retries(self._bus, self._clock, self.backlog, self.events, self._find_jobs)
        handlers = {
            "cancel": for_each(self.cancels.cancel),
            "retry": for_each(retries.retry),
            "reprioritise": for_each(self.priorities.reprioritise),
        }
        return Bulk(self._bus, self._clock, handlers, self.ready)

    def _verbs(self) -> dict[str, Verb]:
        """Who answers which control request."""
        explainer = Explainer(self._bus, self._clock, self.lab.state, self.backlog, self._find_jobs)
        return {
            **{name: self.bulk.verb(name) for name in self.bulk.verbs},
            "queue_pause": self.rulebook.pause,
            "queue_resume": self.rulebook.resume,
            "queue_limit": self.rulebook.limit,
            "cron_add": self.crons.add,
            "cron_list": self.crons.list,
            "cron_delete": self.crons.delete,
            "dead_letters_drop": self.dead_letters.drop,
            "slots": self.holds.control,
            "build_resume": self.holds.resume_build,
            "explain": explainer.explain,
            "timings": self.lab.timings.tell,
        }

    def _make_intake(self, runs: Runs) -> Intake:
        return Intake(
            bus=self._bus,
            clock=self._clock,
            backlog=self.backlog,
            runs=runs,
            events=self.events,
            feed=self.lab.feed,
            on_job=self.cancels.on_job,
            has_ended=self._has_ended,
            on_spec=self.file_retention.on_spec,
            watermark=Watermark(self.inheritance.queued_through),
            horizon=self.inheritance.jobs_horizon,
            open_run_s=self._settings.open_run_s,
            priority_of=self.priorities.priority_of,
            superseding=self.superseding,
            before_next_batch=self._bindings_first.until_bindings_sent,
            on_caught_up=self.ready.set,
        )

    def _make_chains(self) -> Chains:
        return Chains(
            bus=self._bus,
            clock=self._clock,
            backlog=self.backlog,
            events=self.events,
            feed=self.lab.feed,
            on_ended=self._on_ended,
            quarantine=self.holds.quarantine,
            on_retry=self.cancels.on_retry,
            on_started=self._bindings_first.on_started,
            released=self.lab.state.in_flight,
            horizon=self.inheritance.chains_horizon,
            counted_through=self.inheritance.chains_counted_through,
            backlog_ready=self.ready,
            timings=self.lab.timings,
        )

    def _make_overview(self) -> OverviewPublisher:
        return OverviewPublisher(
            bus=self._bus,
            clock=self._clock,
            lab=self.lab,
            mandate=self._mandate,
            ended=lambda: dict(self.chains.ended),
            dead_letters=lambda: self.dead_letters.count,
            rules=lambda: self.rulebook.rules,
            holds=self.holds,
        )

    def _inherit(self) -> None:
        """Take over what earlier reigns released, and what was being cancelled."""
        for entry in self.inheritance.entries:
            self.backlog.add(entry)
        self._feed(*self.inheritance.released)
        for job_id in self.inheritance.cancelling:
            self.cancels.cancelling[job_id] = self._clock.monotonic()

    # --- Who tells whom what: these are made later than who calls them ---

    def _feed(self, *events: Event) -> None:
        self.lab.feed(*events)

    def _in_use(self) -> dict[GroupKey, bool]:
        return self.lab.in_use()

    def _bound_group(self, slot: str) -> GroupKey | None:
        known = self.lab.state.slots.get(slot)
        return known.bound if known else None

    def _on_expire(self, expire: Expire) -> None:
        self.cancels.on_expired(expire)

    def _has_ended(self, entry: Entry) -> bool:
        return self.chains.has_ended(entry)

    async def _wait_for_arrival(self, any_id: str, operation: Operation) -> None:
        arrival = Arrival(self._bus, self.backlog, self.intake, self.inheritance.intake, self._find_jobs)
        await arrival.wait(any_id, operation)

    def _drop_ended(self, entry: Entry, state: str) -> None:
        """A job turned out to have ended when it was to be released."""
        log.info("%s attempt %d has ended before (%s)", entry.job_id, entry.attempt, state)
        self.backlog.drop(entry.job_id, entry.attempt)
        self._feed(unknown_end(entry.job_id, entry.attempt))

    def _on_already_ended(self, entry: Entry) -> None:
        """A job turned out to have ended when it was to be cancelled."""
        if self.backlog.drop(entry.job_id, entry.attempt) is not None:
            self.dispatcher.acknowledge_ended(entry)
        self._feed(unknown_end(entry.job_id, entry.attempt))

    def _on_ended(self, entry: Entry) -> None:
        self.cancels.on_ended(entry)
        self.dispatcher.acknowledge_ended(entry)
