"""Find a job or a run as it is now: the projection, and what the streams say beyond it.

The projection is a moment behind, may be in the middle of a rebuild, or away. So an answer takes
from it what it has and adds the events behind its place straight from the stream: whatever was
stored before the question is in the answer. What no event told of yet is taken from the backlog.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Final

from bus_schemas import subjects
from bus_schemas.events import decode_event_at
from bus_schemas.jobs import JobMessage, RunMarker
from bus_schemas.queries import JobView, RunView
from bus_schemas.streams import EVENTS, EVENTS_KEPT_S, JOBS
from bus_schemas.tokens import encode_token
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all, read_last, read_page
from qgjob.bus.follow import StreamMessage
from qgjob.clock import Clock
from qgjob.domain.history import JobDoc, apply
from qgjob.errors import BadMessageError
from qgjob.scheduler.backlog.job_specs import describe_unannounced
from qgjob.scheduler.backlog.runs import shown_meta
from qgjob.store.connect import StoreUnavailableError
from qgjob.store.documents import RunDoc
from qgjob.store.position import Position
from qgjob.store.projection import StoredEvent
from qgjob.store.reader import Found, Reader, RebuildingError, Snapshot
from qgjob.store.views import apply_to_run, waiting_job

MAX_TAIL: Final = 100_000
"""How many events behind the projection are read for one answer at most."""
_TRIES: Final = 3
_PAGE: Final = 1000
_ALL: Final = 2**31
_LEFT_ALONE_S: Final = 120.0
"""A marker that is alone for so long: its sender was killed before the job, as others give up after 30 s."""
_BESIDE: Final = 1000
"""Among so many jobs behind the marker of a run of one its job is looked for."""


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job as it is now."""

    doc: JobDoc
    as_of: int

    def view(self, now: float) -> JobView:
        """The job as users see it."""
        return self.doc.view(now)


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run as it is now, and documents of those of its jobs that were at hand."""

    doc: RunDoc
    as_of: int
    refused: bool
    reached: int | None
    """How far the projection was; None when it did not answer, and all known jobs are at hand."""
    jobs: dict[str, JobDoc]
    forgotten: bool = False
    """It ended so long ago that its marker is all that is left of it."""

    def view(self, jobs: tuple[JobView, ...] = ()) -> RunView:
        """The run as users see it, with a page of its jobs."""
        view = self.doc.view(jobs)
        if not self.refused:
            return view
        known = dict(self.doc.counts)
        known["cancelled"] = known.get("cancelled", 0) + view.size - self.doc.known
        return view.model_copy(update={"state": "cancelled", "counts": known})


@dataclass(frozen=True, slots=True)
class KnownJobs:
    """What a job's or a run's id stands for."""

    docs: list[JobDoc]
    """By position."""
    forgotten: int = 0
    """How many more jobs the run had, which are not kept any more."""


@dataclass(slots=True)
class _Tail:
    """Events of one id behind a place, in their order."""

    start: int
    events: list[StoredEvent] = field(default_factory=list[StoredEvent])

    @property
    def end(self) -> int:
        return self.events[-1].seq if self.events else self.start - 1


class Lookup:
    """Looks up ids; raises `QgjobError` when neither store nor streams can tell."""

    def __init__(self, bus: Bus, reader: Reader, clock: Clock) -> None:
        self._bus = bus
        self._reader = reader
        self._clock = clock

    async def find(self, any_id: str) -> FoundJob | FoundRun | None:
        """A job or a run by its id, or None when there is none."""
        try:
            found = await self._reader.find(any_id)
        except StoreUnavailableError:
            found = Found(None)
        place = _reached(found.position)
        if found.job is not None:
            return await self._job(any_id, found.job, place)
        if found.run is not None:
            return await self._run(any_id, place)
        return (
            await self._job(any_id, None, place)
            or await self._run(any_id, place)
            or await self._waiting_job(any_id)
            # It may have left the backlog after the first look: then an event tells of it.
            or await self._job(any_id, None, place)
        )

    async def known(self, any_id: str) -> KnownJobs | None:
        """The jobs that a job's or a run's id stands for, or None when it stands for nothing."""
        found = await self.find(any_id)
        if found is None:
            return None
        if isinstance(found, FoundJob):
            return KnownJobs([found.doc])
        docs = await self.docs(found)
        return KnownJobs(docs, max(0, self._ever(found) - len(docs)))

    def _ever(self, run: FoundRun) -> int:
        """How many jobs of a run there surely were: of a young one some may be on their way yet."""
        created_at = run.doc.created_at
        old = created_at is not None and self._clock.now() - created_at > EVENTS_KEPT_S
        return run.doc.whole if old and not run.refused else run.doc.known

    async def page(self, run: FoundRun, offset: int, limit: int) -> tuple[tuple[JobView, ...], bool]:
        """Views of some of a run's jobs by position, and whether there are more behind them."""
        ids, total = await self._ids(run, offset, limit)
        docs = await self._docs(run, ids)
        await describe_unannounced(self._bus, docs)
        now = self._clock.now()
        return tuple(doc.view(now) for doc in docs), total > offset + limit

    async def docs(self, run: FoundRun) -> list[JobDoc]:
        """All of a run's known jobs by position."""
        # At once: between two pages jobs may come and go, and one would be missing.
        ids, _ = await self._ids(run, 0, _ALL)
        docs: list[JobDoc] = []
        for start in range(0, len(ids), _PAGE):
            docs += await self._docs(run, ids[start : start + _PAGE])
        return docs

    async def _ids(self, run: FoundRun, offset: int, limit: int) -> tuple[list[str], int]:
        """Ids of some of a run's known jobs by position, and how many there are in all."""
        beside = {job_id: doc.position for job_id, doc in run.jobs.items()}
        if run.reached is None:
            ids = sorted(beside, key=lambda job_id: (beside[job_id], job_id))
            return ids[offset : offset + limit], len(ids)
        page = await self._reader.run_page(run.doc.run_id, offset, limit, beside)
        if _reached(page.position) < run.reached:  # wiped since: most of the run is not in it
            raise _rebuilding()
        return page.ids, page.total

    async def _docs(self, run: FoundRun, ids: list[str]) -> list[JobDoc]:
        missing = [job_id for job_id in ids if job_id not in run.jobs]
        docs = {**run.jobs, **(await self._reader.jobs(missing) if missing else {})}
        return [docs[i] for i in ids if i in docs and docs[i].org_id == run.doc.org_id]

    async def _job(self, job_id: str, doc: JobDoc | None, place: int) -> FoundJob | None:
        tail = await self._tail(f"qg.events.*.*.{encode_token(job_id)}.>", place + 1)
        for event, seq, at in tail.events:
            if event.job_id == job_id:
                doc = apply(doc, event, seq, at) or doc
        return FoundJob(doc, max(tail.end, doc.seq)) if doc else None

    async def _run(self, run_id: str, place: int) -> FoundRun | None:
        for _ in range(_TRIES):
            tail = await self._tail(f"qg.events.*.{encode_token(run_id)}.>", place + 1)
            touched = dict.fromkeys(e.event.job_id for e in tail.events if e.event.run_id == run_id)
            try:
                snapshot = await self._reader.run_and_jobs(run_id, list(touched))
                there = True
            except StoreUnavailableError:
                snapshot, there = Snapshot(None), False
            reached = _reached(snapshot.position)
            if reached >= place:
                break
            place = reached  # it was wiped in between: the tail began too late
        else:
            raise _rebuilding()
        run, jobs = _fold(snapshot, tail, run_id, reached)
        found = await self._marker(run_id, run)
        refused = forgotten = False
        if found is not None:
            marker, seq, stored_at = found
            age = self._clock.now() - stored_at
            run = run or RunDoc(run_id, marker.org_id)
            run.size = max(run.size, marker.size)
            run.name = run.name or marker.name
            run.meta = run.meta or shown_meta(marker)
            run.created_at = marker.created_at if run.created_at is None else run.created_at
            refused = marker.state == "refused"
            if run.known < marker.size and marker.parts == 1 and not refused:
                await self._add_waiting(run, jobs, seq, stored=there)
                refused = not run.known and _LEFT_ALONE_S < age < EVENTS_KEPT_S - 3600
            if not run.known and age > EVENTS_KEPT_S and not refused:
                forgotten = marker.parts == 1 or not await self._waits(marker, seq)
        if run is None:
            return None
        as_of = max(tail.end, reached)
        return FoundRun(run, as_of, refused, reached if there else None, jobs, forgotten)

    async def _waiting_job(self, job_id: str) -> FoundJob | None:
        """A job that was submitted a moment ago: it is in the backlog, and no event tells of it yet."""
        for message in await read_last(self._bus, JOBS, [f"qg.jobs.*.*.{encode_token(job_id)}"]):
            doc = _read_waiting(message)
            if doc is not None and doc.job_id == job_id:
                return FoundJob(doc, 0)
        return None

    async def _add_waiting(
        self, run: RunDoc, jobs: dict[str, JobDoc], marker_seq: int, *, stored: bool
    ) -> bool:
        """Add a run's jobs that no event told of yet; False when they may stand further behind.

        They are right behind its marker; of a run of one, others may be between the two. `stored`: whether
        the projection may hold some of them.
        """
        pattern = f"qg.jobs.*.{encode_token(run.org_id)}.*"
        limit = run.size if run.size > 1 else _BESIDE
        page = await read_page(self._bus, JOBS, pattern, start_seq=marker_seq + 1, limit=limit)
        found: dict[str, JobDoc] = {}
        for message in page.messages:
            doc = _read_waiting(message)
            if doc is None or doc.run_id != run.run_id:
                if run.size > 1:
                    break
                continue
            if doc.job_id not in jobs:
                found[doc.job_id] = doc
        told = await self._reader.jobs(found) if stored and run.known else {}
        for job_id, doc in found.items():
            if job_id not in told:
                jobs[job_id] = doc
                run.count(None, doc.state)
        return not page.pending

    async def _waits(self, marker: RunMarker, marker_seq: int) -> bool:
        """Whether jobs of a run of several parts wait still: the last of them stand before its marker."""
        pattern = f"qg.jobs.*.{encode_token(marker.org_id)}.*"
        start = max(1, marker_seq - _BESIDE)
        page = await read_page(self._bus, JOBS, pattern, start_seq=start, limit=_BESIDE)
        docs = map(_read_waiting, page.messages)
        return any(doc is not None and doc.run_id == marker.run_id for doc in docs)

    async def _marker(self, run_id: str, run: RunDoc | None) -> tuple[RunMarker, int, float] | None:
        """A run's marker, its place and when it was stored."""
        org = encode_token(run.org_id) if run else "*"
        for message in await read_last(self._bus, JOBS, [f"qg.jobs.run.{org}.{encode_token(run_id)}"]):
            with contextlib.suppress(BadMessageError):
                marker = RunMarker.decode(message.data)
                if marker.run_id == run_id and subjects.run_marker(marker.org_id, run_id) == message.subject:
                    return marker, message.seq, message.at
        return None

    async def _tail(self, pattern: str, start: int) -> _Tail:
        tail = _Tail(start)
        async for page in read_all(self._bus, EVENTS, pattern, start_seq=start):
            for message in page:
                with contextlib.suppress(BadMessageError):  # the projector sets it aside
                    tail.events.append(
                        StoredEvent(decode_event_at(message.subject, message.data), message.seq, message.at)
                    )
            if len(tail.events) > MAX_TAIL:
                raise RebuildingError("The store is being rebuilt from the events; ask again in a while.")
        return tail


def _reached(position: Position | None) -> int:
    return max(0, position.seq) if position else 0


def _rebuilding() -> RebuildingError:
    return RebuildingError("The store is being rebuilt from the events; ask again in a moment.")


def _fold(
    snapshot: Snapshot, tail: _Tail, run_id: str, reached: int
) -> tuple[RunDoc | None, dict[str, JobDoc]]:
    """Apply the events behind a snapshot to it."""
    run = snapshot.run if snapshot.run is not None and snapshot.run.run_id == run_id else None
    jobs = {job_id: doc for job_id, doc in snapshot.jobs.items() if doc.run_id == run_id}
    for event, seq, at in tail.events:
        if seq <= reached or event.run_id != run_id or (run is not None and run.org_id != event.org_id):
            continue
        doc = jobs.get(event.job_id)
        before = (doc.state, doc.begun) if doc else None
        doc = apply(doc, event, seq, at)
        if doc is not None:
            jobs[event.job_id] = doc
            run = apply_to_run(run, event, seq, before=before, job=doc)
    return run, jobs


def _read_waiting(message: StreamMessage) -> JobDoc | None:
    """The job of a message of the backlog; None for a marker, and for what cannot be read."""
    try:
        waiting = JobMessage.decode(message.data)
        priority, *_ = subjects.parse_job(message.subject)
    except (BadMessageError, ValueError):
        return None
    spec = waiting.spec
    if subjects.job(priority, spec.org_id, spec.job_id) != message.subject:
        return None
    return waiting_job(waiting, message.at)
