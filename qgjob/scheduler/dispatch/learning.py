"""Persists what was learned in a bucket, so that neither a wiped store nor a new leader loses it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from bus_schemas.history import Learned
from bus_schemas.streams import LEARNED_BUCKET
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.clock import Clock
from qgjob.domain.estimates import Estimates
from qgjob.domain.placement.stats import Stats
from qgjob.errors import BadMessageError, QgjobError

log = logging.getLogger(__name__)

KEY = "durations"
_EVERY_S = 5.0
_MAX_ROWS = 20_000
"""Of each kind; the latest learned are kept. At 100 bytes a row both fit into a message of 4 MB."""


@dataclass(slots=True)
class Learning:
    """Reads at the start of a reign, and writes while it lasts."""

    bus: Bus
    clock: Clock
    estimates: Estimates
    stats: Stats
    aged_credit: float | None = None
    """What aged work was owed in earlier reigns; None: nobody has told."""

    async def load(self) -> None:
        """Read what earlier reigns learned; what cannot be read is learned anew."""
        stored = await kv.get(self.bus, LEARNED_BUCKET, KEY)
        if stored is None or stored.deleted:
            return
        try:
            learned = Learned.decode(stored.data)
        except BadMessageError as error:
            log.warning("what was learned of durations is learned anew: %s", error)
            return
        self.estimates.load(learned.tests, learned.installs, learned.any_install)
        self.aged_credit = learned.aged_credit

    async def run(self) -> None:
        """Write changes now and then, until cancelled."""
        kept = self.estimates.samples
        while True:
            await asyncio.sleep(_EVERY_S)
            samples = self.estimates.samples
            if samples == kept:
                continue
            try:
                await kv.put(self.bus, LEARNED_BUCKET, KEY, self._fitting())
            except QgjobError as error:
                log.warning("what was learned of durations could not be kept: %s", error)
            else:
                kept = samples

    def _fitting(self) -> bytes:
        """As many rows as a message may hold: names may be long."""
        rows = min(_MAX_ROWS, self.bus.max_payload // 400)
        while len(data := self._message(rows).encode()) > self.bus.max_payload - 4096 and rows > 1:
            rows //= 2
        return data

    def _message(self, rows: int) -> Learned:
        tests, installs = self.estimates.export()
        any_install = self.estimates.any_install
        return Learned(
            at=self.clock.now(),
            tests=tuple(tests[-rows:]),
            installs=tuple(installs[-rows:]),
            any_install=(any_install.value, any_install.count),
            aged_credit=self.stats.aged_credit,
        )
