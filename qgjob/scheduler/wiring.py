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
from qgjob.scheduler.control.requests import Control
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


@dataclass(slots=True)
class Parts:
    """The duties of a reign, wired together."""

    lab: Lab
    backlog: Backlog
    dispatcher: Dispatcher
    intake: Intake
    chains: Chains
    slots: Slots
    cancels: Cancels
    bulk: Bulk
    superseding: Superseding
    priorities: Priorities
    rulebook: RuleBook
    crons: Crons
    file_retention: FileRetention
    holds: Holds
    control: Control
    reaper: Reaper
    lost_jobs: LostJobs
    dead_letters: DeadLetters
    overview: OverviewPublisher
    learning: Learning
    events: Publisher
    inheritance: Inheritance
    ready: asyncio.Event


def wire(
    bus: Bus,
    clock: Clock,
    mandate: Mandate,
    found: Inheritance,
    *,
    settings: ReignSettings,
    find_jobs: FindJobs,
    reader: Reader,
) -> Parts:
    """Make all duties of a reign from what it found."""
    backlog = Backlog()
    bindings_first = BindingsFirst()
    events = Publisher(bus, after=bindings_first.until_jobs_started, gather_s=GATHER_S)
    ready = asyncio.Event()

    def drop_ended(entry: Entry, state: str) -> None:
        log.info("%s attempt %d has ended before (%s)", entry.job_id, entry.attempt, state)
        backlog.drop(entry.job_id, entry.attempt)
        lab.feed(unknown_end(entry.job_id, entry.attempt))

    def in_use() -> dict[GroupKey, bool]:
        return lab.in_use()

    def limited(event: Event) -> None:
        lab.feed(event)

    def bound(slot: str) -> GroupKey | None:
        known = lab.state.slots.get(slot)
        return known.bound if known else None

    consumers = GroupConsumers(bus, clock, settings.ack_wait_s, in_use, limited)
    dispatcher = Dispatcher(
        bus=bus,
        clock=clock,
        epoch=mandate.epoch,
        fence=Fence(found.fence, copies=found.copies),
        backlog=backlog,
        events=events,
        ack_wait_s=settings.ack_wait_s,
        on_already_ended=lambda entry, ended: drop_ended(entry, ended.state),
        on_gone=lambda release: lab.feed(unknown_end(release.job.job_id, release.job.attempt)),
        consumers=consumers,
        bound_group=bound,
        bindings_first=bindings_first,
    )

    def on_expire(expire: Expire) -> None:  # `cancels` is made from the lab
        cancels.on_expired(expire)

    lab = Lab(clock, dispatcher.bind, dispatcher.release, on_expire)

    def on_already_ended(entry: Entry) -> None:
        if backlog.drop(entry.job_id, entry.attempt) is not None:
            dispatcher.acknowledge_ended(entry)
        lab.feed(unknown_end(entry.job_id, entry.attempt))

    async def wait_for_arrival(any_id: str, operation: Operation) -> None:
        await Arrival(bus, backlog, intake, found.intake, find_jobs).wait(any_id, operation)

    cancels = Cancels(bus, clock, lab, backlog, find_jobs, wait_for_arrival, on_already_ended)
    priorities = Priorities(bus, clock, backlog, events, lab.feed, find_jobs, wait_for_arrival, ready)
    rulebook = RuleBook(bus, clock, lab.feed)
    crons = Crons(bus, clock)
    file_retention = FileRetention(bus, clock, crons.plans)
    retries = Retries(bus, clock, backlog, events, find_jobs)
    bulk_handlers = {
        "cancel": for_each(cancels.cancel),
        "retry": for_each(retries.retry),
        "reprioritise": for_each(priorities.reprioritise),
    }
    bulk = Bulk(bus, clock, bulk_handlers, ready)
    agents: dict[str, set[str]] = {}
    holds = Holds(bus, clock, mandate.epoch, lab.state, lab.feed, agents)

    def on_ended(entry: Entry) -> None:
        cancels.on_ended(entry)
        dispatcher.acknowledge_ended(entry)

    dead_letters = DeadLetters(bus, lambda: setattr(lab, "changed", True))
    verbs = {
        **{name: bulk.verb(name) for name in bulk_handlers},
        "queue_pause": rulebook.pause,
        "queue_resume": rulebook.resume,
        "queue_limit": rulebook.limit,
        "cron_add": crons.add,
        "cron_list": crons.list,
        "cron_delete": crons.delete,
        "dead_letters_drop": dead_letters.drop,
        "slots": holds.control,
        "build_resume": holds.resume_build,
        "explain": Explainer(bus, clock, lab.state, backlog, find_jobs).explain,
    }

    def has_ended(entry: Entry) -> bool:  # `chains` is made after the intake
        return chains.has_ended(entry)

    runs = Runs(bus)
    superseding = Superseding(bus, runs, bulk.verb("cancel"), ready)
    intake = Intake(
        bus=bus,
        clock=clock,
        backlog=backlog,
        runs=runs,
        events=events,
        feed=lab.feed,
        on_job=cancels.on_job,
        has_ended=has_ended,
        on_spec=file_retention.on_spec,
        watermark=Watermark(found.queued_through),
        horizon=found.jobs_horizon,
        open_run_s=settings.open_run_s,
        priority_of=priorities.priority_of,
        superseding=superseding,
        before_next_batch=bindings_first.until_bindings_sent,
        on_caught_up=ready.set,
    )
    chains = Chains(
        bus=bus,
        clock=clock,
        backlog=backlog,
        events=events,
        feed=lab.feed,
        on_ended=on_ended,
        quarantine=holds.quarantine,
        on_retry=cancels.on_retry,
        on_started=bindings_first.on_started,
        released=lab.state.in_flight,
        horizon=found.chains_horizon,
        counted_through=found.chains_counted_through,
        backlog_ready=ready,
    )
    slots = Slots(bus, clock, lab, dispatcher, holds, agents)
    for entry in found.entries:
        backlog.add(entry)
    inherited: list[Event] = list(found.released)
    lab.feed(*inherited)
    for job_id in found.cancelling:
        cancels.cancelling[job_id] = clock.monotonic()
    reaper = Reaper(bus, clock, lab, backlog, cancels, dispatcher, settings.ack_wait_s)
    overview = OverviewPublisher(
        bus=bus,
        clock=clock,
        lab=lab,
        mandate=mandate,
        ended=lambda: dict(chains.ended),
        dead_letters=lambda: dead_letters.count,
        rules=lambda: rulebook.rules,
        holds=holds,
    )
    return Parts(
        lab=lab,
        backlog=backlog,
        dispatcher=dispatcher,
        intake=intake,
        chains=chains,
        slots=slots,
        cancels=cancels,
        bulk=bulk,
        superseding=superseding,
        priorities=priorities,
        rulebook=rulebook,
        crons=crons,
        file_retention=file_retention,
        holds=holds,
        control=Control(bus, verbs, ready),
        reaper=reaper,
        lost_jobs=LostJobs(bus, clock, backlog, reader, ready),
        dead_letters=dead_letters,
        overview=overview,
        learning=Learning(bus, clock, lab.state.estimates),
        events=events,
        inheritance=found,
        ready=ready,
    )
