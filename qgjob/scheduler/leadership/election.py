"""Leader election: one key with a TTL, acquired and renewed by compare-and-set.

The key's revision at its acquisition is the epoch of the reign. What really keeps an old leader from
doing harm is not this key but the fence in the work stream (see `recovery`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bus_schemas.streams import LEADER_BUCKET, LEADER_TTL_S
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.publish import lost_compare
from qgjob.bus.requester import JsError
from qgjob.bus.unreadable import UNREADABLE
from qgjob.clock import Clock
from qgjob.errors import QgjobError

log = logging.getLogger(__name__)

KEY = "leader"
_RENEW_S = 0.5
_LOOK_S = 0.2
_MEND_S = 0.5
_MEND_WITHIN_S = 2.0
"""While a cluster elects its leader nobody answers, and the key may be back meanwhile."""
_GIVE_UP_S = LEADER_TTL_S * 0.75
_MAX_PAUSE_S = 5.0
"""After a longer pause a new reign is safer: slots may seem lost whose reports were not read."""


class DeposedError(QgjobError):
    """This replica is not the leader any more."""


@dataclass(frozen=True, slots=True)
class Mandate:
    """A reign: its epoch, and since when."""

    replica: str
    epoch: int
    since: float


class Election:
    """Acquires and renews the leader key for one replica."""

    def __init__(
        self, bus: Bus, clock: Clock, replica: str, *, mend: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`mend`: called when nobody can be elected; it makes the key's bucket again if that is gone."""
        self._bus = bus
        self._clock = clock
        self._replica = replica
        self._restore = mend
        self._nonce = secrets.token_hex(8)
        self._revision = 0

    async def acquire(self) -> Mandate:
        """Wait until this replica is the leader."""
        mending: asyncio.Task[None] | None = None
        told = False
        try:
            while True:
                try:
                    mandate = await self._try()
                except QgjobError as error:
                    level = logging.DEBUG if told else logging.WARNING
                    log.log(level, "no replica can be elected now: %s", error)
                    told = True
                    mandate = None
                    if mending is None or mending.done():
                        mending = asyncio.create_task(self._restore_bucket(), name="leader's bucket")
                if mandate is not None:
                    log.info("replica %s reigns, epoch %d", self._replica, mandate.epoch)
                    return mandate
                await asyncio.sleep(_LOOK_S)
        finally:
            if mending is not None:
                mending.cancel()
                await asyncio.wait([mending])

    async def keep(self) -> None:
        """Renew the key until it is lost; always raises `DeposedError`."""
        renewed = self._clock.monotonic()
        while True:
            await asyncio.sleep(_RENEW_S)
            asked = self._clock.monotonic()
            # As long as there is time: what is late may be stored all the same, and lives from then on.
            patience = max(_RENEW_S, renewed + _GIVE_UP_S - asked)
            try:
                self._revision = await self._put(self._revision, timeout=patience)
                renewed = asked
            except JsError as error:
                if not lost_compare(error):
                    log.debug("renewal refused: %s", error)
                elif not await self._reclaim(renewed):
                    raise DeposedError("another replica reigns now") from None
                else:
                    renewed = asked
            except QgjobError as error:
                log.debug("renewal failed: %s", error)
            if self._clock.monotonic() - renewed > _GIVE_UP_S:
                # This process itself may have been late, on an overloaded machine.
                if not await self._reclaim(renewed):
                    raise DeposedError("the leader key could not be renewed in time")
                renewed = self._clock.monotonic()

    async def resign(self) -> None:
        """Give the key up, so that another replica need not wait for it to expire."""
        with contextlib.suppress(QgjobError):
            await kv.delete(self._bus, LEADER_BUCKET, KEY, expected=self._revision)

    async def _try(self) -> Mandate | None:
        stored = await kv.get(self._bus, LEADER_BUCKET, KEY)
        if stored is not None and not stored.deleted and self._nonce_of(stored.data) != self._nonce:
            return None
        try:
            self._revision = await self._put(stored.seq if stored else 0, timeout=LEADER_TTL_S / 2)
        except JsError as error:
            if lost_compare(error):
                return None
            raise
        return Mandate(self._replica, self._revision, self._clock.now())

    async def _restore_bucket(self) -> None:
        """Create the key's bucket again if it was deleted: without it no leader can be elected who would."""
        if self._restore is None:
            return
        await asyncio.sleep(_MEND_S)
        with contextlib.suppress(QgjobError, TimeoutError):  # the server is away, or as full as before
            async with asyncio.timeout(_MEND_WITHIN_S):
                await self._restore()

    async def _put(self, expected: int, *, timeout: float) -> int:
        value = json.dumps({"replica": self._replica, "nonce": self._nonce}).encode()
        return await kv.put(
            self._bus, LEADER_BUCKET, KEY, value, ttl_s=LEADER_TTL_S, expected=expected, timeout=timeout
        )

    async def _reclaim(self, renewed: float) -> bool:
        """Renew the key if nobody else has written it since we did.

        After a lost answer its revision is ahead of what we know, yet it is ours. When this process stood
        still for longer than the key lives, nothing but its expiry follows our last revision, unless somebody
        reigned meanwhile.
        """
        try:
            stored = await kv.get(self._bus, LEADER_BUCKET, KEY, timeout=_RENEW_S * 2)
            if stored is None or self._clock.monotonic() - renewed > _MAX_PAUSE_S:
                return False
            if stored.deleted:
                ours = stored.seq == self._revision + 1
            else:
                ours = self._nonce_of(stored.data) == self._nonce
            if ours:
                self._revision = await self._put(stored.seq, timeout=_RENEW_S * 2)
        except QgjobError as error:
            log.debug("the key could not be taken back: %s", error)
            return False
        return ours

    @staticmethod
    def _nonce_of(data: bytes) -> str | None:
        with contextlib.suppress(*UNREADABLE):
            nonce: object = json.loads(data).get("nonce")
            return nonce if isinstance(nonce, str) else None
        return None
