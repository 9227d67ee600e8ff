"""One reign: everything the leader does, for as long as it is the leader.

Any trouble that leaves doubt (a lost connection, a refused release, a consumer that is gone) ends
the reign; the next one starts from what the streams say. So there is one way to recover, and it is
exercised often.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from bus_schemas import streams
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.topology import ensure_topology, missing_streams
from qgjob.clock import Clock
from qgjob.domain.placement.events import Tick
from qgjob.errors import QgjobError
from qgjob.scheduler.control.cancels import FindJobs
from qgjob.scheduler.dispatch.lab import Lab
from qgjob.scheduler.intake.intake import Intake
from qgjob.scheduler.leadership import memory, watchdog
from qgjob.scheduler.leadership.election import DeposedError, Election, Mandate
from qgjob.scheduler.leadership.recovery import QUEUED_THROUGH_KEY, recover
from qgjob.scheduler.leadership.server_clock import ServerClock
from qgjob.scheduler.queries.overview import OverviewPublisher
from qgjob.scheduler.wiring import Parts, ReignSettings
from qgjob.store.reader import Reader

log = logging.getLogger(__name__)

_TICK_S = 0.1
_REPORTS_WITHIN_S = 0.5
_WATERMARK_EVERY_S = 0.5
_STREAMS_EVERY_S = 2.0
_NEEDED = frozenset({streams.JOBS, streams.WORK, streams.EVENTS})


async def reign(
    bus: Bus,
    clock: Clock,
    election: Election,
    mandate: Mandate,
    *,
    settings: ReignSettings,
    replicas: int,
    find_jobs: FindJobs,
    reader: Reader,
    beside: Callable[[], Coroutine[Any, Any, None]],
    on_wired: Callable[[OverviewPublisher], None],
) -> None:
    """Recover, then work until deposed or in doubt; raises an exception group with the reason.

    One that is over and does not close ends the process. `replicas`: how many copies of each stream there
    are to be. `beside`: what else the leader's replica runs, such as the projector.
    """
    ended = asyncio.Event()
    watching = asyncio.create_task(
        watchdog.watch(ended, mandate.epoch, end=watchdog.end_process), name="watchdog"
    )
    try:
        with memory.collector_disabled():
            async with asyncio.TaskGroup() as tasks:
                # Renewed from the first moment: a recovery may take longer than the key lives.
                # Whatever ends the reign ends this as well.
                tasks.create_task(watchdog.signalling(ended, election.keep()), name="leader key")
                tasks.create_task(_until_reconnected(bus), name="connection")
                await _have_streams(bus, replicas)
                inheritance = await recover(bus, mandate.epoch)
                server = ServerClock(bus, clock)
                await server.synchronise()
                parts = Parts(
                    bus, server, mandate, inheritance, settings=settings, find_jobs=find_jobs, reader=reader
                )
                await _load(parts)
                on_wired(parts.overview)
                duties = _duties(bus, clock, mandate.epoch, parts, beside)
                duties |= {"clock": server.run(), "topology": _mend_streams(bus, replicas)}
                for name, duty in duties.items():
                    tasks.create_task(duty, name=name)
    finally:
        watching.cancel()


async def _have_streams(bus: Bus, replicas: int) -> None:
    """Make sure of what placement needs; on a cluster the others may have no leader for seconds yet."""
    needed = None if await missing_streams(bus) else _NEEDED
    await ensure_topology(bus, replicas=replicas, only=needed)


async def _mend_streams(bus: Bus, replicas: int) -> None:
    """Bring the other streams to what they are to be."""
    try:
        await ensure_topology(bus, replicas=replicas)
    except QgjobError as error:
        log.warning("the streams could not all be looked at, which the next reign tries again: %s", error)


async def _load(parts: Parts) -> None:
    """Read what earlier reigns kept for this one."""
    await asyncio.gather(
        parts.learning.load(),
        parts.rulebook.load(),
        parts.priorities.load(),
        parts.holds.load(),
    )
    over = await parts.superseding.learn(entry.message() for entry in parts.inheritance.entries)
    parts.superseding.end(over)


def _duties(
    bus: Bus, clock: Clock, epoch: int, parts: Parts, beside: Callable[[], Coroutine[Any, Any, None]]
) -> dict[str, Coroutine[Any, Any, None]]:
    """What runs during a reign, by name; what can wait begins once jobs are placed."""
    found, opened = parts.inheritance, asyncio.Event()
    log.info(
        "epoch %d: %d released jobs found, backlog up to %d", epoch, len(found.released), found.jobs_horizon
    )
    return {
        "binds": parts.dispatcher.run_binds(),
        "releases": parts.dispatcher.run_releases(),
        "acks": parts.dispatcher.run_acks(),
        "events": _run_once_open(opened, parts.events.run()),
        "learning": parts.learning.run(),
        "chains": parts.chains.run(found.chains),
        "slots": parts.slots.run(),
        "intake": parts.intake.run(found.intake),
        "open runs": parts.intake.watch_open_runs(),
        "control": parts.control.run(),
        "cancels": parts.cancels.run(),
        "bulk": parts.bulk.run(),
        "priorities": parts.priorities.run(),
        "superseded": parts.superseding.run(),
        "rules": parts.rulebook.run(),
        "schedules": parts.crons.run(),
        "missed schedules": parts.crons.catch_up(),
        "file retention": _run_once_open(opened, parts.file_retention.run()),
        "holds": parts.holds.run(),
        "reaper": parts.reaper.run(),
        "lost jobs": parts.lost_jobs.run(),
        "dead letters": parts.dead_letters.run(),
        "overview": parts.overview.run(),
        "opening": _start_placement(parts, opened, clock, epoch),
        "ticks": _tick(parts.lab),
        "watermark": _keep_watermark(bus, parts.intake),
        "streams": _watch_streams(bus),
        "beside": _run_once_open(opened, beside()),
    }


async def _run_once_open(opened: asyncio.Event, duty: Coroutine[Any, Any, None]) -> None:
    """Carry out what can wait until jobs are placed again, so that they are the sooner."""
    try:
        await opened.wait()
    except BaseException:
        duty.close()
        raise
    await duty


async def _start_placement(parts: Parts, opened: asyncio.Event, clock: Clock, epoch: int) -> None:
    """Place from now on: all that waited is read, and slots that run something had time to say so."""
    began = clock.monotonic()
    reports = asyncio.sleep(_REPORTS_WITHIN_S if parts.inheritance.released else 0)
    await asyncio.gather(parts.ready.wait(), reports)
    parts.lab.start(parts.learning.aged_credit)
    took, waiting = clock.monotonic() - began, len(parts.lab.state.jobs)
    log.info("epoch %d: jobs are placed after %.2f s, %d wait", epoch, took, waiting)
    await asyncio.sleep(0)  # let releases that were placed be published first
    opened.set()
    memory.freeze()


async def _tick(lab: Lab) -> None:
    while True:
        await asyncio.sleep(_TICK_S)
        lab.feed(Tick())


async def _keep_watermark(bus: Bus, intake: Intake) -> None:
    """Remember up to where jobs were announced as queued, so that a reign does not repeat them."""
    kept = 0
    while True:
        await asyncio.sleep(_WATERMARK_EVERY_S)
        through = intake.announced_through()
        if through > kept:
            try:
                await kv.put(bus, streams.SETTINGS_BUCKET, QUEUED_THROUGH_KEY, str(through).encode())
            except QgjobError as error:  # without it the next reign repeats some work, which does no harm
                log.debug("up to where jobs were announced cannot be kept now: %s", error)
                continue
            kept = through


async def _watch_streams(bus: Bus) -> None:
    """What somebody deleted is made again by the next reign; who reads it in this one may be lost in it."""
    while True:
        await asyncio.sleep(_STREAMS_EVERY_S)
        try:
            missing = await missing_streams(bus)
        except QgjobError as error:  # nobody answers while a cluster elects its leader
            log.debug("the streams cannot be looked for now: %s", error)
            continue
        if missing:
            raise DeposedError(f"somebody deleted {', '.join(missing)}")


async def _until_reconnected(bus: Bus) -> None:
    """A renewed connection may have lost acks and messages: recover rather than wonder."""
    renewed = asyncio.Event()
    bus.on_reconnect.append(renewed.set)
    try:
        await renewed.wait()
    finally:
        bus.on_reconnect.remove(renewed.set)
    raise DeposedError("the connection was renewed")
