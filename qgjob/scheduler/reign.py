"""One reign: everything the leader does, for as long as it is the leader.

Any trouble that leaves doubt (a lost connection, a refused release, a consumer that is gone) ends
the reign; the next one starts from what the streams say. So there is one way to recover, and it is
walked often.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from bus_schemas import streams
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.publisher import Publisher
from qgjob.clock import Clock
from qgjob.domain.placement.model import Bind, Event, Expire, Release, Tick, forgotten
from qgjob.scheduler import memory
from qgjob.scheduler.backlog import Backlog, Entry
from qgjob.scheduler.cancels import Cancels, Known
from qgjob.scheduler.chains import Chains
from qgjob.scheduler.control import Control
from qgjob.scheduler.crons import Crons
from qgjob.scheduler.dispatch import Dispatcher
from qgjob.scheduler.explaining import Explaining
from qgjob.scheduler.holds import Holds
from qgjob.scheduler.intake import Intake
from qgjob.scheduler.lab import Lab
from qgjob.scheduler.leader import DeposedError, Election, Mandate
from qgjob.scheduler.learning import Learning
from qgjob.scheduler.overview import OverviewPublisher
from qgjob.scheduler.priorities import Priorities
from qgjob.scheduler.reaper import Reaper
from qgjob.scheduler.recovery import QUEUED_THROUGH_KEY, Inheritance, recover
from qgjob.scheduler.retries import Retries
from qgjob.scheduler.rulebook import RuleBook
from qgjob.scheduler.runs import Runs
from qgjob.scheduler.slots import Slots

log = logging.getLogger(__name__)

_TICK_S = 0.1
_REPORTS_WITHIN_S = 0.5
_WATERMARK_EVERY_S = 0.5


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
    priorities: Priorities
    rulebook: RuleBook
    crons: Crons
    holds: Holds
    control: Control
    reaper: Reaper
    overview: OverviewPublisher
    learning: Learning
    events: Publisher
    inheritance: Inheritance
    ready: asyncio.Event


async def reign(
    bus: Bus,
    clock: Clock,
    election: Election,
    mandate: Mandate,
    *,
    settings: ReignSettings,
    known: Known,
    beside: Callable[[], Coroutine[Any, Any, None]],
    on_wired: Callable[[OverviewPublisher], None],
) -> None:
    """Recover, then work until deposed or in doubt; raises an exception group with the reason.

    `beside`: what else the leader's replica runs, such as the projector.
    """
    with memory.growing():
        await _reign(bus, clock, election, mandate, settings, known, beside, on_wired)


async def _reign(
    bus: Bus,
    clock: Clock,
    election: Election,
    mandate: Mandate,
    settings: ReignSettings,
    known: Known,
    beside: Callable[[], Coroutine[Any, Any, None]],
    on_wired: Callable[[OverviewPublisher], None],
) -> None:
    async with asyncio.TaskGroup() as tasks:
        # Renewed from the first moment: a recovery may take longer than the key lives.
        tasks.create_task(election.keep(), name="leader key")
        tasks.create_task(_until_reconnected(bus), name="connection")
        inheritance = await recover(bus, mandate.epoch)
        parts = _wire(bus, clock, mandate, inheritance, settings=settings, known=known)
        await asyncio.gather(
            parts.learning.recall(),
            parts.rulebook.recall(),
            parts.priorities.recall(),
            parts.holds.recall(),
        )
        on_wired(parts.overview)
        log.info(
            "epoch %d: %d released jobs found, backlog up to %d",
            mandate.epoch,
            len(inheritance.out),
            inheritance.jobs_horizon,
        )
        opened = asyncio.Event()
        duties: dict[str, Coroutine[Any, Any, None]] = {
            "binds": parts.dispatcher.run_binds(),
            "releases": parts.dispatcher.run_releases(),
            "acks": parts.dispatcher.run_acks(),
            "events": _after(opened, parts.events.run()),
            "learning": parts.learning.run(),
            "chains": parts.chains.run(inheritance.chains),
            "slots": parts.slots.run(),
            "intake": parts.intake.run(inheritance.intake),
            "open runs": parts.intake.watch_open_runs(),
            "control": parts.control.run(),
            "cancels": parts.cancels.run(),
            "rules": parts.rulebook.run(),
            "schedules": parts.crons.run(),
            "bundles": parts.crons.keep_bundles(),
            "holds": parts.holds.run(),
            "reaper": parts.reaper.run(),
            "overview": parts.overview.run(),
            "opening": _open(parts, opened, clock, mandate.epoch),
            "ticks": _tick(parts.lab),
            "watermark": _keep_watermark(bus, parts.intake),
            "beside": _after(opened, beside()),
        }
        for name, duty in duties.items():
            tasks.create_task(duty, name=name)


def _wire(
    bus: Bus, clock: Clock, mandate: Mandate, found: Inheritance, *, settings: ReignSettings, known: Known
) -> Parts:
    backlog = Backlog()
    events = Publisher(bus)
    ready = asyncio.Event()

    def released_already(entry: Entry, state: str) -> None:
        log.info("%s attempt %d has ended before (%s)", entry.job_id, entry.attempt, state)
        backlog.drop(entry.job_id, entry.attempt)
        lab.feed(forgotten(entry.job_id, entry.attempt))

    dispatcher = Dispatcher(
        bus,
        clock,
        mandate.epoch,
        found.fence,
        backlog,
        events,
        settings.ack_wait_s,
        lambda entry, ended: released_already(entry, ended.state),
        lambda release: lab.feed(forgotten(release.job.job_id, release.job.attempt)),
    )

    def on_bind(bind: Bind) -> None:
        dispatcher.bind(bind)

    def on_release(release: Release) -> None:
        dispatcher.release(release)

    def on_expire(expire: Expire) -> None:
        cancels.expire(expire)

    lab = Lab(clock, on_bind, on_release, on_expire)

    def over(entry: Entry) -> None:
        if backlog.drop(entry.job_id, entry.attempt) is not None:
            dispatcher.settle(entry)
        lab.feed(forgotten(entry.job_id, entry.attempt))

    cancels = Cancels(bus, clock, lab, backlog, known, over)
    priorities = Priorities(bus, clock, backlog, events, lab.feed, known)
    rulebook = RuleBook(bus, clock, lab.feed)
    crons = Crons(bus, clock)
    retries = Retries(bus, clock, backlog, known)
    agents: dict[str, set[str]] = {}
    holds = Holds(bus, clock, mandate.epoch, lab.state, lab.feed, agents)

    def ended(entry: Entry) -> None:
        cancels.ended(entry)
        dispatcher.settle(entry)

    verbs = {
        "cancel": cancels.cancel,
        "retry": retries.retry,
        "reprioritise": priorities.reprioritise,
        "queue_pause": rulebook.pause,
        "queue_resume": rulebook.resume,
        "queue_limit": rulebook.limit,
        "cron_add": crons.add,
        "cron_list": crons.list,
        "cron_delete": crons.delete,
        "slots": holds.control,
        "build_resume": holds.resume_build,
        "explain": Explaining(bus, clock, lab.state, backlog, known).explain,
    }

    intake = Intake(
        bus,
        clock,
        backlog,
        Runs(bus),
        events,
        lab.feed,
        cancels.came_in,
        found.queued_through,
        found.jobs_horizon,
        settings.open_run_s,
        priorities.of,
        ready.set,
    )
    chains = Chains(
        bus,
        clock,
        backlog,
        events,
        lab.feed,
        ended,
        holds.troubles,
        cancels.between,
        lab.state.out,
        found.chains_horizon,
    )
    slots = Slots(bus, clock, lab, dispatcher, holds, agents)
    for entry in found.entries:
        backlog.add(entry)
    inherited: list[Event] = list(found.out)
    lab.feed(*inherited)
    for job_id in found.cancelling:
        cancels.cancelling[job_id] = clock.monotonic()
    reaper = Reaper(bus, clock, lab, backlog, cancels, dispatcher, settings.ack_wait_s)
    overview = OverviewPublisher(
        bus,
        clock,
        lab,
        mandate,
        lambda: dict(chains.ended),
        lambda: intake.dead_letters + slots.bad_messages,
        lambda: rulebook.rules,
        holds,
    )
    return Parts(
        lab=lab,
        backlog=backlog,
        dispatcher=dispatcher,
        intake=intake,
        chains=chains,
        slots=slots,
        cancels=cancels,
        priorities=priorities,
        rulebook=rulebook,
        crons=crons,
        holds=holds,
        control=Control(bus, verbs, ready),
        reaper=reaper,
        overview=overview,
        learning=Learning(bus, clock, lab.state.estimates),
        events=events,
        inheritance=found,
        ready=ready,
    )


async def _after(opened: asyncio.Event, duty: Coroutine[Any, Any, None]) -> None:
    """Carry out what can wait until jobs are placed again, so that they are the sooner."""
    try:
        await opened.wait()
    except BaseException:
        duty.close()
        raise
    await duty


async def _open(parts: Parts, opened: asyncio.Event, clock: Clock, epoch: int) -> None:
    """Place from now on: all that waited is read, and slots that run something had time to say so."""
    began = clock.monotonic()
    reports = asyncio.sleep(_REPORTS_WITHIN_S if parts.inheritance.out else 0)
    await asyncio.gather(parts.ready.wait(), reports)
    parts.lab.start()
    took, waiting = clock.monotonic() - began, len(parts.lab.state.jobs)
    log.info("epoch %d: jobs are placed after %.2f s, %d wait", epoch, took, waiting)
    await asyncio.sleep(0)  # what was placed goes out first
    opened.set()
    memory.settle()


async def _tick(lab: Lab) -> None:
    while True:
        await asyncio.sleep(_TICK_S)
        lab.feed(Tick())


async def _keep_watermark(bus: Bus, intake: Intake) -> None:
    """Remember up to where jobs were announced as queued, so that a reign does not repeat them."""
    kept = 0
    while True:
        await asyncio.sleep(_WATERMARK_EVERY_S)
        through = await intake.announced_through()
        if through > kept:
            await kv.put(bus, streams.SETTINGS_BUCKET, QUEUED_THROUGH_KEY, str(through).encode())
            kept = through


async def _until_reconnected(bus: Bus) -> None:
    """A renewed connection may have lost acks and messages: recover rather than wonder."""
    renewed = asyncio.Event()
    bus.on_reconnect.append(renewed.set)
    try:
        await renewed.wait()
    finally:
        bus.on_reconnect.remove(renewed.set)
    raise DeposedError("the connection was renewed")
