"""What is known of runs: their markers, and which are complete in the backlog."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bus_schemas import streams, subjects
from bus_schemas.jobs import JobMessage, RunMarker
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.publish import TTL, expect, lost_compare
from qgjob.bus.requester import JsError
from qgjob.errors import BadMessageError
from qgjob.scheduler.backlog.entries import Entry

MAX_META_BYTES: Final = 16 * 1024
"""How much of a run's metadata events and answers carry, below `JOB_ROOM_BYTES`."""
_MAX_KNOWN = 20_000

RunKey = tuple[str, str]
"""(organisation, run id)."""


@dataclass(slots=True)
class OpenRun:
    """A run of which not all batches are in: its jobs wait aside."""

    key: RunKey
    since: float
    """Monotonic."""
    waiting: list[tuple[JobMessage, Entry, float]] = field(
        default_factory=list[tuple[JobMessage, Entry, float]]
    )


class _Known(NamedTuple):
    """A run's marker, and its sequence; 0 when another one has taken its place since."""

    marker: RunMarker | None
    seq: int


_UNKNOWN: Final = _Known(None, 0)


@dataclass(slots=True)
class Runs:
    """Markers by run, read once, and the runs that are open."""

    bus: Bus
    open: dict[RunKey, OpenRun] = field(default_factory=dict[RunKey, OpenRun])
    _known: dict[RunKey, _Known] = field(default_factory=dict[RunKey, _Known])

    async def learn(self, keys: Iterable[RunKey]) -> None:
        """Read the markers that are not known yet, all at once."""
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        if not new:
            return
        for key, (marker, seq) in zip(new, await asyncio.gather(*map(self.read, new)), strict=True):
            self._known[key] = _Known(marker, seq)
        while len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def marker(self, key: RunKey) -> RunMarker | None:
        """The marker as it was when it was read, if there was one."""
        return self._known.get(key, _UNKNOWN).marker

    async def completed_at(self, key: RunKey) -> int:
        """The sequence of the marker that made a whole run complete; 0 without one."""
        known = self._known.get(key, _UNKNOWN)
        if known.seq and known.marker is not None and known.marker.state == "complete":
            return known.seq
        _, seq = await self.read(key)
        return seq

    def is_complete(self, key: RunKey) -> bool:
        """Whether all of a run is known to be in the backlog."""
        marker = self.marker(key)
        return marker is not None and marker.state == "complete"

    def completed(self, key: RunKey) -> OpenRun | None:
        """A run's last batch was seen; returns it with its jobs that waited for that."""
        marker = self.marker(key)
        if marker is not None:
            self._known[key] = _Known(marker.model_copy(update={"state": "complete"}), 0)
        return self.open.get(key)

    async def read(self, key: RunKey) -> tuple[RunMarker | None, int]:
        """The marker as it stands now, and its sequence."""
        stored = await kv.get_last(self.bus, streams.JOBS, subjects.run_marker(*key))
        if stored is None or stored.deleted:
            return None, 0
        try:
            return RunMarker.decode(stored.data), stored.seq
        except BadMessageError:
            return None, stored.seq

    async def refuse(self, run: OpenRun) -> bool:
        """Close the marker by compare-and-set; False when the run became complete before.

        The client's last batch carries the marker too: it and this cannot both succeed.
        """
        marker, seq = await self.read(run.key)
        if marker is None:
            return True
        if marker.state == "open":
            headers = {**expect(seq), TTL: f"{streams.RUN_MARKER_TTL_S}s"}
            refused = marker.model_copy(update={"state": "refused"})
            try:
                await self.bus.requests.publish(
                    subjects.run_marker(*run.key), refused.encode(), headers=headers
                )
            except JsError as error:
                if not lost_compare(error):
                    raise
                return False
            return True
        return marker.state == "refused"


def shown_meta(marker: RunMarker) -> dict[str, str]:
    """A run's metadata, the first of them when all would not fit into an event or an answer."""
    shown: dict[str, str] = {}
    room = MAX_META_BYTES
    for key, value in marker.meta.items():
        room -= len(json.dumps({key: value}))  # an upper bound of its encoded size
        if room < 0:
            break
        shown[key] = value
    return shown
