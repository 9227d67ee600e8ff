"""One key of the settings within a reign: read, followed, and changed by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bus_schemas.streams import SETTINGS_BUCKET
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.follow import follow
from qgjob.bus.publish import lost_compare
from qgjob.bus.requester import JsError
from qgjob.errors import RefusedError

_TRIES: Final = 10
_NOTHING: Final = b"{}"


@dataclass(slots=True)
class Setting:
    """A key whose value, whoever wrote it, is passed to `apply`: each revision once, in their order."""

    bus: Bus
    key: str
    apply: Callable[[bytes], None]
    _revision: int = 0

    async def load(self) -> None:
        """Read it as it is."""
        stored = await kv.get(self.bus, SETTINGS_BUCKET, self.key)
        if stored is None:
            if self._revision:  # the bucket was purged, which leaves no tombstone
                self._revision = 0
                self.apply(_NOTHING)
        else:
            self._apply_newer(_NOTHING if stored.deleted else stored.data, stored.seq)

    async def run(self) -> None:
        """Follow what others write, until cancelled: an old leader may have a last word."""
        subject = kv.key_subject(SETTINGS_BUCKET, self.key)
        async for batch in follow(self.bus, f"KV_{SETTINGS_BUCKET}", [subject], last_per_subject=True):
            for message in batch:
                self._apply_newer(_NOTHING if message.deleted else message.data, message.seq)

    async def change(self, after: Callable[[], bytes | None], contested: str) -> bool:
        """Store what `after` makes of what was applied, and apply it; False when it makes nothing.

        Asked again when somebody else wrote meanwhile; after some times `RefusedError` with `contested`.
        """
        for _ in range(_TRIES):
            data = after()
            if data is None:
                return False
            try:
                seq = await kv.put(self.bus, SETTINGS_BUCKET, self.key, data, expected=self._revision)
            except JsError as error:
                if not lost_compare(error):
                    raise
                await self.load()
                continue
            self._apply_newer(data, seq)
            return True
        raise RefusedError(contested)

    def _apply_newer(self, data: bytes, seq: int) -> None:
        if seq > self._revision:
            self._revision = seq
            self.apply(data)
