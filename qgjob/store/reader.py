"""The reading side of the projection: a job, a run with a page of its jobs, lists, depths."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from bus_schemas.queries import JobState
from bus_schemas.subjects import PRIORITY_CLASSES, PriorityClass
from qgjob.domain.history import JobDoc
from qgjob.errors import BadMessageError, QgjobError
from qgjob.store.cache import load
from qgjob.store.connect import Store
from qgjob.store.documents import RunDoc, read_job
from qgjob.store.position import Position

_CHUNK: Final = 500


class RebuildingError(QgjobError):
    """The projection was wiped and does not contain yet what it contained before."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the projection knows of an id, and how far it is."""

    position: Position | None
    job: JobDoc | None = None
    run: RunDoc | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run and some of its jobs, all as of one position."""

    position: Position | None
    run: RunDoc | None = None
    jobs: dict[str, JobDoc] = field(default_factory=dict[str, JobDoc])


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some of a run's jobs by position."""

    position: Position | None
    ids: list[str]
    total: int
    """How many jobs of the run are known."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which jobs to list; what is None does not matter."""

    state: JobState | None = None
    org_id: str | None = None
    app_version_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of jobs, newest first."""

    position: Position
    jobs: list[JobDoc]
    total: int | None
    """How many match, where that is known without reading all of them."""
    more: bool


@dataclass(frozen=True, slots=True)
class Depth:
    """The jobs of a priority class that have not started."""

    waiting: int
    delayed: int
    """Not due yet, and not counted as waiting."""
    oldest: float | None
    """Since when the longest waiting one could have started, seconds since 1970."""


class Reader:
    """Reads the projection; each call raises `StoreUnavailableError` when the store does not answer."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def position(self) -> Position | None:
        """How far the projection is; None when there is none."""
        async with self.store.asking():
            raw = await self.store.client.hgetall(self.store.keys.position)
        return Position.from_fields(cast("dict[str, str]", raw))

    async def find(self, any_id: str) -> Found:
        """The job or run of an id, and the projection's position."""
        keys = self.store.keys
        async with self.store.asking():
            pipe = self.store.client.pipeline(transaction=True)
            for key in (keys.position, keys.job(any_id), keys.run(any_id)):
                pipe.hgetall(key)
            place, job, run = cast("list[dict[str, str]]", await pipe.execute())
        found_job = _read_job(job) if job else None
        found_run = _read_run(run) if run else None
        return Found(
            position=Position.from_fields(place),
            job=found_job if found_job and found_job.job_id == any_id else None,
            run=found_run if found_run and found_run.run_id == any_id else None,
        )

    async def run_and_jobs(self, run_id: str, job_ids: Sequence[str]) -> Snapshot:
        """A run and some of its jobs as they are at one place of the stream."""
        keys = self.store.keys
        async with self.store.asking():
            pipe = self.store.client.pipeline(transaction=True)
            for key in (keys.position, keys.run(run_id), *(keys.job(i) for i in job_ids)):
                pipe.hgetall(key)
            place, run, *jobs = cast("list[dict[str, str]]", await pipe.execute())
        docs = (_read_job(fields) for fields in jobs if fields)
        return Snapshot(
            position=Position.from_fields(place),
            run=_read_run(run) if run else None,
            jobs={doc.job_id: doc for doc in docs if doc is not None},
        )

    async def jobs(self, ids: Iterable[str]) -> dict[str, JobDoc]:
        """The documents of some jobs, as far as there are any."""
        return await load(self.store, {i: self.store.keys.job(i) for i in ids}, read_job)

    async def run_page(self, run_id: str, offset: int, limit: int, beside: Mapping[str, int]) -> RunPage:
        """A page of a run's jobs; what it costs does not grow with the run.

        `beside`: positions of jobs that belong to the run as well, whether they stand in the store or not.
        """
        key = self.store.keys.run_jobs(run_id)
        # Each entry that the store lacks moves the others by one position at most.
        first, last = max(0, offset - len(beside)), offset + limit - 1
        async with self.store.asking():
            pipe = self.store.client.pipeline(transaction=True)
            pipe.hgetall(self.store.keys.position)
            pipe.zcard(key)
            if limit:
                pipe.zrange(key, first, last, withscores=True)
            if beside:
                pipe.zmscore(key, list(beside))
            place, stored, *rows = cast(
                "tuple[dict[str, str], int, *tuple[list[object], ...]]", await pipe.execute()
            )
        scores = cast("list[float | None]", rows.pop()) if beside else []
        window = cast("list[tuple[str, float]]", rows.pop()) if limit else []
        lacking = [(i, beside[i]) for i, score in zip(beside, scores, strict=True) if score is None]
        merged = sorted([*window, *lacking], key=lambda member: (member[1], member[0]))
        ids = [job_id for job_id, _ in merged[offset - first :][:limit]]
        return RunPage(Position.from_fields(place), ids, stored + len(lacking))

    async def list(self, filters: Filters, *, limit: int, offset: int = 0) -> Listed:
        """Jobs that match all filters, newest first.

        Raises `RebuildingError` while the projection is incomplete: a short list would look whole.
        """
        position = await self.position()
        if position is None:
            raise RebuildingError(
                "The store holds no projection yet; a scheduler builds it. Ask again in a moment."
            )
        if position.rebuilding:
            share = 100 * max(0, position.seq) // max(1, position.goal)
            raise RebuildingError(f"The store is being rebuilt from the events ({share} %).")
        indices = self._indices(filters)
        sizes = await self._sizes(indices)
        ranked = sorted(zip(sizes, indices, strict=True))
        smallest, others = ranked[0][1], [key for _, key in ranked[1:]]
        if others:
            ids, total, more = await self._intersect(smallest, others, offset, limit)
        else:
            async with self.store.asking():
                found = await self.store.client.zrevrange(smallest, offset, offset + limit - 1)
            ids, total = cast("list[str]", found), ranked[0][0]
            more = offset + len(ids) < total
        docs = await self.jobs(ids)
        jobs = [docs[i] for i in ids if i in docs and _matches(docs[i], filters)]
        return Listed(position, jobs, total, more)

    async def alive(
        self, limit: int, states: Iterable[str], *, besides: Container[str], more_than: int = 0
    ) -> list[str]:
        """Ids of at most so many jobs in some states, without those in `besides`.

        None when there are no `more_than` so many in all. Raises `RebuildingError` while the projection is
        incomplete.
        """
        position = await self.position()
        if position is None or position.rebuilding:
            raise RebuildingError("The store is being rebuilt from the events.")
        indices = [self.store.keys.in_state(state) for state in sorted(states)]
        if sum(await self._sizes(indices)) <= more_than:
            return []
        found: list[str] = []
        for key in indices:
            start = 0
            while len(found) < limit:
                async with self.store.asking():
                    raw = await self.store.client.zrange(key, start, start + _CHUNK - 1)
                ids = cast("list[str]", raw)
                found += [job_id for job_id in ids if job_id not in besides]
                start += len(ids)
                if not ids:
                    break
        return found[:limit]

    async def depths(self, now: float) -> dict[PriorityClass, Depth]:
        """How many jobs wait in each priority class."""
        keys = self.store.keys
        async with self.store.asking():
            pipe = self.store.client.pipeline(transaction=False)
            for name in PRIORITY_CLASSES:
                key = keys.waiting(name)
                pipe.zcard(key)
                pipe.zcount(key, "-inf", repr(now))
                pipe.zrange(key, 0, 0, withscores=True)
            rows = cast("list[object]", await pipe.execute())
        depths: dict[PriorityClass, Depth] = {}
        for number, name in enumerate(PRIORITY_CLASSES):
            known, waiting = cast("tuple[int, int]", tuple(rows[3 * number : 3 * number + 2]))
            first = cast("Sequence[tuple[str, float]]", rows[3 * number + 2])
            oldest = float(first[0][1]) if first and waiting else None
            depths[name] = Depth(waiting, known - waiting, oldest)
        return depths

    def _indices(self, filters: Filters) -> list[str]:
        keys = self.store.keys
        indices: list[str] = []
        if filters.run_id is not None:
            indices.append(keys.run_jobs(filters.run_id))
        if filters.app_version_id is not None:
            indices.append(keys.of_version(filters.app_version_id))
        if filters.state is not None:
            indices.append(keys.in_state(filters.state))
        if filters.org_id is not None:
            indices.append(keys.of_org(filters.org_id))
        return indices or [keys.all_jobs]

    async def _sizes(self, indices: Sequence[str]) -> list[int]:
        async with self.store.asking():
            pipe = self.store.client.pipeline(transaction=False)
            for key in indices:
                pipe.zcard(key)
            return cast("list[int]", await pipe.execute())

    async def _intersect(
        self, smallest: str, others: Sequence[str], offset: int, limit: int
    ) -> tuple[list[str], int | None, bool]:
        """Walk the smallest index from its newest entry and keep what stands in all others, too."""
        client = self.store.client
        kept: list[str] = []
        wanted = offset + limit + 1
        start = 0
        while len(kept) < wanted:
            async with self.store.asking():
                chunk = cast("list[str]", await client.zrevrange(smallest, start, start + _CHUNK - 1))
                if not chunk:
                    return kept[offset:], len(kept), False
                pipe = client.pipeline(transaction=False)
                for key in others:
                    pipe.zmscore(key, chunk)
                scores = cast("list[list[float | None]]", await pipe.execute())
            kept += [
                member
                for member, there in zip(chunk, zip(*scores, strict=True), strict=True)
                if all(score is not None for score in there)
            ]
            start += len(chunk)
        return kept[offset : offset + limit], None, True


def _matches(doc: JobDoc, filters: Filters) -> bool:
    """Whether a document still matches: it is read after the indices, and may have changed since."""
    return (
        filters.state in {None, doc.state}
        and filters.org_id in {None, doc.org_id}
        and filters.app_version_id in {None, doc.app_version_id}
        and filters.run_id in {None, doc.run_id}
    )


def _read_job(fields: dict[str, str]) -> JobDoc | None:
    try:
        return read_job(fields)
    except BadMessageError:
        return None


def _read_run(fields: dict[str, str]) -> RunDoc | None:
    try:
        return RunDoc.from_fields(fields)
    except BadMessageError:
        return None
