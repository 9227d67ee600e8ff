"""Cancels a run when a newer one of the same organisation and concurrency key supersedes it.

Which of two runs is the newer is decided by the stream alone: by the place of the marker that makes a
run complete. The newest of each key is written into a bucket before any of its jobs is placed; so a
leader that dies in between leaves nothing open: the next one finds the older run's jobs among what it
inherits, and the bucket says that there is a newer one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bus_schemas import streams
from bus_schemas.control import CancelRequest
from bus_schemas.jobs import JobMessage
from bus_schemas.tokens import short_hash
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.publish import lost_compare
from qgjob.bus.requester import JsError
from qgjob.bus.unreadable import UNREADABLE
from qgjob.errors import NotFoundError, QgjobError
from qgjob.scheduler.backlog.runs import RunKey, Runs

log = logging.getLogger(__name__)

_TRIES: Final = 10
_PAUSE_S: Final = 1.0
_MAX_KNOWN: Final = 20_000


class _Newest(NamedTuple):
    """The newest run of a key, and the place of its marker in the backlog's stream."""

    run_id: str
    seq: int


@dataclass(slots=True)
class Superseding:
    """Finds superseded runs within one reign, and cancels them."""

    bus: Bus
    runs: Runs
    cancel: Callable[[bytes], Awaitable[object]]
    """The control verb: a request to cancel a run, encoded."""
    ready: asyncio.Event
    """Set when the backlog has been read: before, a job that waits would be taken for ended."""
    _live: dict[tuple[str, str], set[str]] = field(default_factory=dict[tuple[str, str], set[str]])
    """By (organisation, key) the runs seen in this reign that are not superseded."""
    _seen: dict[RunKey, None] = field(default_factory=dict[RunKey, None])
    _over: asyncio.Queue[tuple[str, str]] = field(default_factory=asyncio.Queue[tuple[str, str]])
    """(older run, the one that takes its place), to be cancelled."""

    async def run(self) -> None:
        """Cancel superseded runs, until cancelled."""
        await self.ready.wait()
        while True:
            older, newer = await self._over.get()
            await self._end(older, newer)

    async def learn(self, messages: Iterable[JobMessage]) -> list[tuple[str, str]]:
        """Take note of jobs before they are placed: those of a new run may mean the end of older ones.

        Returns which run is superseded by which; hand it to `end` once these jobs are in the backlog.
        What somebody asked to try once more is wanted, however old its run is.
        """
        by_key: dict[tuple[str, str], dict[RunKey, None]] = {}
        for message in messages:
            spec = message.spec
            run = (spec.org_id, spec.run_id)
            if spec.concurrency_key is not None and message.asked is None and run not in self._seen:
                by_key.setdefault((spec.org_id, spec.concurrency_key), {})[run] = None
        # All keys at once: a new leader reads the runs of thousands before it places a job.
        over = await asyncio.gather(*(self._arrived(*key, runs) for key, runs in by_key.items()))
        self._seen.update(run for runs in by_key.values() for run in runs.items())
        while len(self._seen) > _MAX_KNOWN:
            del self._seen[next(iter(self._seen))]
        return [pair for pairs in over for pair in pairs]

    def end(self, over: Iterable[tuple[str, str]]) -> None:
        """Have runs cancelled that others have superseded."""
        for pair in over:
            self._over.put_nowait(pair)

    async def _arrived(self, org_id: str, key: str, runs: Iterable[RunKey]) -> list[tuple[str, str]]:
        over: list[tuple[str, str]] = []
        for run in runs:
            newest = await self._newest(org_id, key, _Newest(run[1], await self.runs.completed_at(run)))
            over += self._note(org_id, key, run[1], newest.run_id)
        return over

    def _note(self, org_id: str, key: str, run_id: str, newest: str) -> list[tuple[str, str]]:
        """Keep what lives of a key; returns which of its runs is superseded by which."""
        live = self._live.setdefault((org_id, key), set())
        live.add(run_id)
        over = [(known, newest) for known in live if known != newest]
        live.difference_update(older for older, _ in over)
        if not live:
            del self._live[org_id, key]
        while len(self._live) > _MAX_KNOWN:
            del self._live[next(iter(self._live))]
        return over

    async def _newest(self, org_id: str, key: str, ours: _Newest) -> _Newest:
        """The newest run of a key, this one included; it is written down when it is that."""
        name = short_hash(org_id, key)
        while True:
            stored = await kv.get(self.bus, streams.NEWEST_BUCKET, name)
            known = _read(stored.data) if stored is not None and not stored.deleted else None
            if known is not None and (known.run_id == ours.run_id or known.seq > ours.seq):
                return known
            try:
                await kv.put(
                    self.bus,
                    streams.NEWEST_BUCKET,
                    name,
                    json.dumps(ours._asdict()).encode(),
                    expected=stored.seq if stored is not None else 0,
                )
            except JsError as error:
                if not lost_compare(error):
                    raise
                continue
            return ours

    async def _end(self, older: str, newer: str) -> None:
        request = CancelRequest(id=older, by="scheduler", reason=f"superseded by {newer}")
        for _ in range(_TRIES):
            try:
                await self.cancel(request.encode())
            except NotFoundError:
                return
            except QgjobError as error:
                # What waits is taken out already; what is held is asked again.
                log.warning("%s could not be ended yet: %s", older, error)
                await asyncio.sleep(_PAUSE_S)
            else:
                log.info("%s is superseded by %s", older, newer)
                return
        log.error("%s goes on, though %s superseded it", older, newer)


def _read(data: bytes) -> _Newest | None:
    try:
        fields = json.loads(data)
        return _Newest(str(fields["run_id"]), int(fields["seq"]))
    except UNREADABLE:
        return None
