"""The writing side of the projection: batches of events in, one atomic write a batch out.

The place in the stream is written together with the documents, by a script that refuses when
another place stands there: so each event has its effect once, and two writers that overlap cannot
mix. What is stored is a function of the stream and the place, so that a write whose answer was
lost may be repeated.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, cast

from bus_schemas.events import AnyEvent
from qgjob.domain.history import JobDoc, apply, promote
from qgjob.errors import QgjobError
from qgjob.store.cache import MAX_CACHED, CachedJob, Documents
from qgjob.store.connect import Store
from qgjob.store.documents import RunDoc, job_fields
from qgjob.store.indices import Command, IndexChanges, footprint
from qgjob.store.keys import ENDED_KEPT_S, LIVE_KEPT_S
from qgjob.store.position import WIPING, Position, StreamState, usable
from qgjob.store.scripts import CLAIM, COMMIT
from qgjob.store.views import apply_to_run

MAX_KEPT: Final = 1_000_000
"""How many ended jobs are kept at most; the oldest go first."""
_CHORES: Final = 500
_SCAN: Final = 1000


class OutdatedError(QgjobError):
    """The store was wiped, or somebody else wrote: open the projection again and go on from there."""


class StoredEvent(NamedTuple):
    """An event with its place and time in the stream."""

    event: AnyEvent
    seq: int
    at: float


@dataclass(slots=True)
class Batch:
    """One write to the store: made by `stage`, written by `commit`, which may be repeated."""

    position: Position
    commands: list[Command] = field(default_factory=list[Command])
    tried: bool = False


class Projection:
    """Keeps the documents in the store up to date with a stream of events."""

    def __init__(self, store: Store, *, cached: int = MAX_CACHED, kept: int = MAX_KEPT) -> None:
        self._store = store
        self._kept = kept
        self._documents = Documents(store, limit=cached)
        self.position = Position("", "", WIPING)
        self.rebuilds = 0
        """How often this one began anew."""
        self.of_others = 0
        """How often the store held a projection of another stream of events."""

    async def open(self, stream: StreamState, *, anew: bool = False) -> Position:
        """Find out how far the store is; begin `anew` when what it holds is not of this stream.

        Raises `OutdatedError` when somebody else began a rebuild at the same moment.
        """
        async with self._store.asking():
            raw = cast("dict[str, str]", await self._store.client.hgetall(self._store.keys.position))
        position = Position.from_fields(raw)
        if position is not None and position.stream != stream.created:
            self.of_others += 1
        if position is None or anew or not usable(position, stream):
            position = await self._rebuild(raw, stream)
        # The cache may be ahead of the store, by a batch whose write was given up.
        self._documents.clear()
        self.position = position
        return position

    async def stage(self, events: Sequence[StoredEvent], seq: int, at: float, now: float) -> Batch:
        """Compute what a batch changes; `seq` and `at` are of its last message, readable or not.

        When this raises because the store does not answer, nothing has changed.
        """
        events = [entry for entry in events if entry.seq > self.position.seq]
        documents = self._documents
        await documents.load_missing(
            {entry.event.job_id for entry in events}, {entry.event.run_id for entry in events}
        )
        jobs: dict[str, CachedJob] = {}
        runs: dict[str, RunDoc] = {}
        for event, place, time in events:
            held = documents.jobs.get(event.job_id)
            before = (held.doc.state, held.doc.begun) if held else None
            doc = apply(held.doc if held else None, event, place, time)
            if doc is None:
                continue
            if held is None:
                held = documents.jobs[event.job_id] = CachedJob(doc, None)
            jobs[event.job_id] = held
            run = apply_to_run(documents.runs.get(event.run_id), event, place, before=before, job=doc)
            if run is not None:
                runs[event.run_id] = documents.runs[event.run_id] = run
        position = replace(self.position, seq=max(seq, self.position.seq), at=at)
        return Batch(position, self._commands(jobs.values(), runs.values(), now))

    async def commit(self, batch: Batch) -> None:
        """Write a batch; when it raises `StoreUnavailableError`, the same batch may be tried again.

        Raises `OutdatedError` when another place stands in the store.
        """
        script = self._store.script(COMMIT)
        new = batch.position
        tried, batch.tried = batch.tried, True
        async with self._store.asking():
            build, seq, done = cast(
                "tuple[str, str, int]",
                await script(
                    keys=[self._store.keys.position],
                    args=[
                        self.position.build,
                        str(self.position.seq),
                        str(new.seq),
                        json.dumps(batch.commands),
                        json.dumps(["at", repr(new.at)]),
                    ],
                ),
            )
        repeated = tried and (build, seq) == (new.build, str(new.seq))
        if not done and not repeated:
            self._documents.clear()
            self.position = Position("", "", WIPING)
            raise OutdatedError(
                "the store was wiped" if not build else f"another writer is at {seq} of build {build}"
            )
        self.position = new
        self._documents.trim()

    async def stage_chores(self, now: float) -> Batch | None:
        """Check that the store is still ours, promote due jobs, delete jobs that ended long ago.

        Returns what is to be committed, if anything; raises `OutdatedError` like `commit`.
        """
        keys = self._store.keys
        async with self._store.asking():
            pipe = self._store.client.pipeline(transaction=False)
            pipe.hmget(keys.position, ["build", "seq"])
            pipe.zrangebyscore(keys.due, "-inf", repr(now), start=0, num=_CHORES)
            pipe.zrangebyscore(keys.ended, "-inf", repr(now - ENDED_KEPT_S), start=0, num=_CHORES)
            pipe.zcard(keys.ended)
            have, due, old, ended = cast(
                "tuple[list[str | None], list[str], list[str], int]", tuple(await pipe.execute())
            )
            if ended - len(old) > self._kept:
                over = min(ended - self._kept, _CHORES)
                old = cast("list[str]", await self._store.client.zrange(keys.ended, 0, over - 1))
        if have != [self.position.build, str(self.position.seq)]:
            self._documents.clear()
            self.position = Position("", "", WIPING)
            raise OutdatedError("the store was wiped, or another writer is at work")
        if not due and not old:
            return None
        return Batch(self.position, [*await self._promote(due, now), *self._forget(old, now)])

    async def reach(self, seq: int, at: float) -> None:
        """Advance the position: the stream holds nothing more up to a place."""
        if seq > self.position.seq:
            await self.commit(Batch(replace(self.position, seq=seq, at=at)))

    async def _rebuild(self, raw: dict[str, str], stream: StreamState) -> Position:
        build = secrets.token_hex(8)
        claim = Position(build, stream.created, WIPING, goal=stream.last_seq)
        keys, client = self._store.keys, self._store.client
        script = self._store.script(CLAIM)
        async with self._store.asking():
            seen = [raw.get("build", ""), raw.get("seq", "")]
            if not await script(keys=[keys.position], args=[*seen, json.dumps(claim.fields())]):
                raise OutdatedError("another writer began to rebuild")
        for pattern in keys.patterns():
            cursor = 0
            while True:
                async with self._store.asking():
                    found = await client.scan(cursor, match=pattern, count=_SCAN)
                    cursor, some = cast("tuple[int, list[str]]", found)
                    if some:
                        await client.unlink(*some)
                if not cursor:
                    break
        self._documents.clear()
        self.position = claim
        self.rebuilds += 1
        await self.commit(Batch(replace(claim, seq=0 if stream.messages else stream.last_seq)))
        return self.position

    async def _promote(self, due: Sequence[str], now: float) -> list[Command]:
        documents = self._documents
        await documents.load_missing(due, ())
        held = {job_id: documents.jobs[job_id] for job_id in due if job_id in documents.jobs}
        await documents.load_missing((), {one.doc.run_id for one in held.values()})
        jobs: list[CachedJob] = []
        runs: dict[str, RunDoc] = {}
        for one in held.values():
            if promote(one.doc, now):
                jobs.append(one)
                run = documents.runs.get(one.doc.run_id)
                if run is not None and run.org_id == one.doc.org_id:
                    run.count("scheduled", "queued")
                    runs[run.run_id] = run
        commands = self._commands(jobs, runs.values(), now)
        if due:
            commands.append(["ZREM", self._store.keys.due, *due])
        return commands

    def _forget(self, members: Sequence[str], now: float) -> list[Command]:
        keys = self._store.keys
        changes = IndexChanges(keys)
        gone: list[str] = []
        for member in members:
            job_id, run_id, org_id, version, state = cast("list[str]", json.loads(member))
            changes.forget(job_id, run_id, org_id, version, state)
            self._documents.jobs.pop(job_id, None)
            gone.append(keys.job(job_id))
        if not members:
            return []
        return [["UNLINK", *gone], ["ZREM", keys.ended, *members], *changes.commands(now)]

    def _commands(self, jobs: Iterable[CachedJob], runs: Iterable[RunDoc], now: float) -> list[Command]:
        keys = self._store.keys
        commands: list[Command] = []
        changes = IndexChanges(keys)
        for held in jobs:
            doc = held.doc
            mark = footprint(doc)
            changes.move(held.mark, mark)
            held.mark = mark
            key = keys.job(doc.job_id)
            commands.append(["HSET", key, *job_fields(doc)])
            commands.append(["EXPIREAT", key, str(_until(doc, now))])
        commands += changes.commands(now)
        for run in runs:
            key, until = keys.run(run.run_id), now + LIVE_KEPT_S
            if run.ended and run.ended_at is not None:
                until = run.ended_at + ENDED_KEPT_S
            commands.append(["HSET", key, *run.fields()])
            commands.append(["EXPIREAT", key, str(int(until))])
            commands.append(["EXPIREAT", keys.run_jobs(run.run_id), str(int(until))])
        return commands


def _until(doc: JobDoc, now: float) -> int:
    if doc.ended and doc.ended_at is not None:
        return int(doc.ended_at + ENDED_KEPT_S)
    return int(max(now, doc.not_before or 0.0) + LIVE_KEPT_S)
