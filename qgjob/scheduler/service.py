"""The scheduler service: stand for election, reign, answer queries; any number of replicas may run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from bus_schemas import subjects
from bus_schemas.events import build_messages_of_jobs
from bus_schemas.queries import Overview
from qgjob.backoff import Backoff
from qgjob.bus.account import user_of
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.topology import ensure_topology
from qgjob.clock import Clock
from qgjob.errors import BadMessageError, NotAllowedError, QgjobError
from qgjob.scheduler.leadership.election import Election
from qgjob.scheduler.projection.projector import Projector
from qgjob.scheduler.queries.overview import OverviewPublisher
from qgjob.scheduler.queries.service import QueryService
from qgjob.scheduler.reign import reign
from qgjob.scheduler.wiring import ReignSettings
from qgjob.store.connect import open_store
from qgjob.store.reader import Reader
from qgjob.waiting import set_within

log = logging.getLogger(__name__)

_AGAIN_S = 0.5
_LONGEST_S = 2.0


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """How a replica is to run."""

    server: ServerOptions
    redis_url: str
    replica: str
    replicas: int = 1
    """Copies of each stream: 1 on one server, 3 on a cluster."""
    reign: ReignSettings = field(default_factory=ReignSettings)


class _LatestOverview:
    """What any replica answers to `overview`: the leader's own, or the last one heard."""

    def __init__(self) -> None:
        self.publisher: OverviewPublisher | None = None
        self.heard: Overview | None = None

    def __call__(self) -> Overview | None:
        return self.publisher.now() if self.publisher is not None else self.heard

    async def listen(self, bus: Bus) -> None:
        subscription = await bus.nc.subscribe(subjects.LIVE_OVERVIEW)
        async for msg in subscription.messages:
            with contextlib.suppress(BadMessageError):
                self.heard = Overview.decode(msg.data)


async def run_scheduler(
    options: SchedulerOptions, clock: Clock, *, stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Run a replica until `stop` is set; `ready` is set once it is in the race."""
    build_messages_of_jobs()
    async with open_bus(options.server) as bus, open_store(options.redis_url) as store:
        await _topology(bus, options.replicas, stop)
        overview = _LatestOverview()
        projector = Projector(bus, store)
        reader = Reader(store)
        queries = QueryService(bus, reader, overview)
        election = Election(
            bus, clock, options.replica, mend=lambda: ensure_topology(bus, replicas=options.replicas)
        )
        stopping = asyncio.create_task(stop.wait(), name="stop")
        work = [
            asyncio.create_task(overview.listen(bus), name="overview"),
            asyncio.create_task(queries.run(), name="queries"),
            asyncio.create_task(
                _reigns(bus, clock, options, election, projector, queries, reader, overview), name="reigns"
            ),
        ]
        ready.set()
        log.info("replica %s is ready; it leads as soon as no other does", options.replica)
        try:
            done, _ = await asyncio.wait({stopping, *work}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
        finally:
            for task in (stopping, *work):
                task.cancel()
            await asyncio.gather(stopping, *work, return_exceptions=True)
            await election.resign()


async def _topology(bus: Bus, replicas: int, stop: asyncio.Event) -> None:
    """Make the streams. A server that has just started may not have JetStream ready.

    Raises `NotAllowedError` where these are not the credentials of a scheduler.
    """
    said = ""
    pause = Backoff(first_s=_AGAIN_S, longest_s=_LONGEST_S)
    while not stop.is_set():
        try:
            await ensure_topology(bus, replicas=replicas)
        except NotAllowedError as error:
            user = await user_of(bus) or "These credentials"
            raise NotAllowedError(
                f"{user[0].upper()}{user[1:]} may not make the streams: {error.message}",
                hint="A scheduler needs the credentials of their account (LAB in deploy/accounts.conf).",
            ) from error
        except QgjobError as error:
            if said != error.message:
                said = error.message
                log.warning("the streams cannot be made yet: %s", said)
            await set_within(stop, pause.after(0))
        else:
            return


async def _reigns(
    bus: Bus,
    clock: Clock,
    options: SchedulerOptions,
    election: Election,
    projector: Projector,
    queries: QueryService,
    reader: Reader,
    overview: _LatestOverview,
) -> None:
    backoff = Backoff(longest_s=5.0, settled_s=10.0)
    while True:
        mandate = await election.acquire()
        began = clock.monotonic()
        try:
            await reign(
                bus,
                clock,
                election,
                mandate,
                settings=options.reign,
                replicas=options.replicas,
                find_jobs=queries.known_jobs,
                reader=reader,
                beside=projector.run,
                on_wired=lambda publisher: setattr(overview, "publisher", publisher),
            )
        except* QgjobError as errors:
            for error in _single(errors):
                log.warning("the reign of epoch %d ended: %s", mandate.epoch, error)
        except* (OSError, TimeoutError) as errors:
            log.warning("the reign of epoch %d ended: %s", mandate.epoch, next(_single(errors)))
        except* Exception as errors:  # a bug of ours or of a library: recover as well
            log.exception("the reign of epoch %d failed", mandate.epoch, exc_info=errors)
        finally:
            overview.publisher = None
        # A full disk would end the next reign as well: back off.
        await asyncio.sleep(backoff.after(clock.monotonic() - began))


def _single(errors: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The errors themselves: a duty of several parts raises a group of its own."""
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _single(cast("BaseExceptionGroup[BaseException]", error))
        else:
            yield error
