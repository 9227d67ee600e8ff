"""Store a run in `QG_JOBS`: all of it or nothing, and once however often it is sent.

The run's marker goes in with the first batch, by compare-and-set; a run of several batches is
complete when the last one, with the marker's second state, is in. Where an answer was lost the
marker tells what became of it, so that everything here may be repeated.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final, Literal

from bus_schemas import streams, subjects
from bus_schemas.jobs import JobMessage, JobSpec, RunMarker, priority_class
from bus_schemas.streams import EVENTS_KEPT_S, JOB_ROOM_BYTES, RUN_MARKER_TTL_S
from qgjob.bus import kv
from qgjob.bus.account import start_a_scheduler
from qgjob.bus.connect import Bus
from qgjob.bus.publish import (
    MAX_BATCH_BYTES,
    MAX_BATCH_MESSAGES,
    TOO_MANY_BATCHES,
    TTL,
    OutMsg,
    expect,
    lost_compare,
    publish_batch,
)
from qgjob.bus.publisher import publish_each
from qgjob.bus.requester import JsError, NoRespondersError, RequestTimeoutError
from qgjob.clock import Clock
from qgjob.errors import QgjobError, RefusedError, UnreachableError

log = logging.getLogger(__name__)

RETRY_FOR_S: Final = 30.0
"""How long a server may be away (a failover takes 4 to 8 s) before a submit gives up."""
NO_STREAM_S: Final = 3.0
_PAUSE_S: Final = 0.2
_ANSWER_TIMEOUT_S: Final = 5.0

_SENT_AGAIN_FOR_S: Final = EVENTS_KEPT_S - 3600
"""After its submit: so long the end of a job is surely known."""

_PART_JOBS: Final = MAX_BATCH_MESSAGES - 2  # room for the markers
_PART_BYTES: Final = MAX_BATCH_BYTES * 7 // 8
_MARGIN: Final = 512
"""More than the fields of a job's message that differ between two sendings of one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run with all its ids, not stored yet."""

    run_id: str
    org_id: str
    specs: list[JobSpec]
    digest: str
    name: str | None
    meta: dict[str, str]
    created_at: float
    not_before: float | None = None
    """When its jobs may start first, in seconds since 1970; None: at once."""
    fresh: bool = False
    """Its ids were made for this call: nobody can have sent it before."""


@dataclass(frozen=True, slots=True)
class _Marker:
    """The marker of a run as it stands in the stream."""

    seq: int
    body: RunMarker


async def publish_run(bus: Bus, run: PlannedRun, *, clock: Clock) -> bool:
    """Store a run; True when it was stored before, by an earlier call or an answer that was lost.

    Raises `RefusedError` (another run has its key; it was given up half-way; a job is too large),
    `NotAllowedError`, `UnreachableError` (nothing is known to be stored, or the first part only:
    the same call goes on where this one stopped).
    """
    return await _Publisher(bus, run, clock).publish()


async def was_stored(bus: Bus, run: PlannedRun) -> bool:
    """Whether a run of that id was submitted before, be it in part."""
    stored = await kv.get_last(bus, streams.JOBS, subjects.run_marker(run.org_id, run.run_id))
    return stored is not None and not stored.deleted


def cut(specs: list[JobSpec]) -> list[list[JobSpec]]:
    """The jobs of each batch.

    A repeated submit must cut the same run at the same places, so nothing counts here that may
    differ between two sendings.
    """
    parts: list[list[JobSpec]] = [[]]
    size = 0
    for spec in specs:
        more = len(spec.model_copy(update={"created_at": 0.0, "bundle": None}).model_dump_json()) + _MARGIN
        if parts[-1] and (len(parts[-1]) >= _PART_JOBS or size + more > _PART_BYTES):
            parts.append([])
            size = 0
        parts[-1].append(spec)
        size += more
    return parts


class _Publisher:
    def __init__(self, bus: Bus, run: PlannedRun, clock: Clock) -> None:
        self._bus = bus
        self._run = run
        self._clock = clock
        self._deadline = clock.monotonic() + RETRY_FOR_S
        self._subject = subjects.run_marker(run.org_id, run.run_id)
        cuts = cut(run.specs)
        # All of them are made before the first is sent: one that is too large stops the whole run.
        self._parts = [
            [self._job(spec, part, len(cuts)) for spec in specs] for part, specs in enumerate(cuts)
        ]

    async def publish(self) -> bool:
        if len(self._run.specs) == 1:
            return await self._publish_single()
        last = len(self._parts) - 1
        first = [self._marker("open" if last else "complete", 0), *self._parts[0]]
        while not await self._store(first):
            if await self._find_marker():
                break
            # The marker is gone while a job of the run still waits, or a replica is behind.
            await self._again(RefusedError("Jobs of this run are waiting already, under another submit."))
        else:
            if not last:
                return False
        marker = await self._find_marker()
        while marker is None:
            await self._again(UnreachableError("The server does not find the run that it has just stored."))
            marker = await self._find_marker()
        if marker.body.state == "complete":
            return self._is_earlier(marker)
        for part in self._parts[1:-1]:
            await self._store(part)  # refused: it is in already
        end = [*self._parts[-1], self._marker("complete", marker.seq)]
        while not await self._store(end):
            found = await self._find_marker()
            if found and found.body.state == "complete":
                return self._is_earlier(found)
            await self._again(RefusedError("The run was changed by another submit while it was stored."))
        return False

    async def _publish_single(self) -> bool:
        """Store a run of one job: the marker, then the job, by plain publishes: no wait for a disk sync.

        Of a fresh run both are sent in one go, so that whoever is killed meanwhile leaves no marker alone.
        Where it stopped between the two, or an answer was lost, the job is sent `again`: then the
        scheduler looks whether it ran already before it releases it.
        """
        spec = self._run.specs[0]
        if self._run.fresh and await self._store_both(self._marker("complete", 0), self._job(spec, 0, 1)):
            return False
        again = [self._job(spec, 0, 1, again=True)]
        if await self._store([self._marker("complete", 0)]):
            await self._store([self._job(spec, 0, 1)], after_a_lost_answer=again)
            return False
        while (marker := await self._find_marker()) is None:
            await self._again(UnreachableError("The server does not find the run that it has just stored."))
        # What ended longer ago is not known any more: sent again, it would run a second time.
        if self._clock.now() - marker.body.created_at < _SENT_AGAIN_FOR_S:
            await self._store(again)  # refused: it waits there already
        return self._is_earlier(marker)

    async def _store_both(self, marker: OutMsg, job: OutMsg) -> bool:
        """Whether both are known to be stored; if not, sending them again shows what became of each."""
        try:
            await publish_each(self._bus, [marker, job], timeout=_ANSWER_TIMEOUT_S)
        except (JsError, NoRespondersError, RequestTimeoutError) as error:
            log.debug("storing %s: %s", self._run.run_id, error)
            return False
        return True

    def _is_earlier(self, marker: _Marker) -> bool:
        return marker.body.created_at != self._run.created_at

    async def _store(
        self, messages: list[OutMsg], *, after_a_lost_answer: list[OutMsg] | None = None
    ) -> bool:
        """Store a batch, retrying over lost answers and restarts; False when part of it is stored already."""
        while True:
            try:
                await publish_batch(self._bus, messages, timeout=_ANSWER_TIMEOUT_S)
            except JsError as error:
                if lost_compare(error):
                    return False
                if error.err_code not in TOO_MANY_BATCHES and error.code != 503:
                    raise RefusedError(f"The server refused the run: {error.description}.") from error
                await self._again(_not_stored(error.description))
            except NoRespondersError:
                self._deadline = min(self._deadline, self._clock.monotonic() + NO_STREAM_S)
                await self._again(await _no_stream(self._bus))
            except RequestTimeoutError as error:
                messages = after_a_lost_answer or messages
                await self._again(_not_stored(error.message.rstrip(".")))
            else:
                return True

    async def _find_marker(self) -> _Marker | None:
        """The run's marker; raises when it is another run's, or the run was refused."""
        while True:
            try:
                stored = await kv.get_last(self._bus, streams.JOBS, self._subject)
            except (RequestTimeoutError, NoRespondersError, JsError) as error:
                await self._again(_not_stored(error.message.rstrip(".")))
                continue
            if stored is None or stored.deleted:
                return None
            break
        body = RunMarker.decode(stored.data)
        if body.digest != self._run.digest or body.parts != len(self._parts):
            raise RefusedError(
                "This --run-key was already used for another submit.",
                hint="Give every different submit a key of its own; the same key means the same run.",
            )
        if body.state == "refused":
            raise RefusedError(
                "The run was given up by the scheduler because not all of it arrived within a minute.",
                hint="Submit it again, with another --run-key if it has one.",
            )
        return _Marker(stored.seq, body)

    async def _again(self, error: QgjobError) -> None:
        """Pause before another try; raises the error when the time for retries is over."""
        if self._clock.monotonic() >= self._deadline:
            raise error
        log.debug("storing %s: %s", self._run.run_id, error)
        await asyncio.sleep(_PAUSE_S)

    def _marker(self, state: Literal["open", "complete"], expected: int) -> OutMsg:
        run = self._run
        body = RunMarker(
            run_id=run.run_id,
            org_id=run.org_id,
            state=state,
            size=len(run.specs),
            parts=len(self._parts),
            digest=run.digest,
            name=run.name,
            meta=run.meta,
            created_at=run.created_at,
        )
        return OutMsg(self._subject, body.encode(), {TTL: f"{RUN_MARKER_TTL_S}s", **expect(expected)})

    def _job(self, spec: JobSpec, part: int, parts: int, *, again: bool = False) -> OutMsg:
        not_before = self._run.not_before
        payload = JobMessage(spec=spec, part=part, parts=parts, again=again, not_before=not_before).encode()
        limit = min(self._bus.max_payload, MAX_BATCH_BYTES) - JOB_ROOM_BYTES
        if len(payload) > limit:
            raise RefusedError(
                f"The job of {spec.test} takes {len(payload)} bytes; the server takes {limit} at most.",
                hint="Put large values into files of the bundle instead of the environment or arguments.",
            )
        subject = subjects.job(priority_class(spec.priority), spec.org_id, spec.job_id)
        return OutMsg(subject, payload, expect(0))


def _not_stored(why: str) -> UnreachableError:
    return UnreachableError(
        f"The server did not store the run within {RETRY_FOR_S:g} s: {why}.",
        hint="Is its disk full, or its cluster without a leader? `qgjob doctor` says more.",
    )


async def _no_stream(bus: Bus) -> UnreachableError:
    return UnreachableError(
        "The server is there, but qgjob's streams are not.",
        hint=f"The first scheduler makes them. {await start_a_scheduler(bus)}",
    )
