"""Carry out what was asked of many jobs, though the reign that began it ends in the middle.

Such a request is kept in a bucket from before its first job is touched until its last one is done; the
next leader takes up what it finds there. Each verb can be repeated: what it did to a job it does once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.control import BulkRequest, CtlAnswer, Order
from bus_schemas.streams import ORDERS_BUCKET
from bus_schemas.tokens import short_hash
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all
from qgjob.clock import Clock
from qgjob.errors import BadMessageError, NotFoundError, QgjobError, RefusedError

log = logging.getLogger(__name__)

_PATIENCE_S: Final = 2.0
"""So long a patient asker waits for an answer before it is told how many jobs are left."""
_REMEMBERED_S: Final = 60.0
"""So long it is known what came of a request, for who asks again because the answer was lost."""
_PAUSE_S: Final = 1.0
_FINAL: Final = (BadMessageError, NotFoundError, RefusedError)
"""Trying again would meet these again."""


@dataclass(slots=True, eq=False)
class Carrying:
    """A request while it is carried out: its verb says here how far it came."""

    verb: str
    data: bytes
    keep: Callable[[Carrying], Awaitable[None]]
    taken_at: float
    """When it was first taken, by this leader or an earlier one (seconds since 1970)."""
    taken_up: bool = False
    """An earlier leader began it."""
    kept: bool = False
    total: int = 0
    done: int = 0

    async def concerns(self, jobs: int) -> None:
        """So many jobs are to be changed, more than known so far: from now on nobody may forget them."""
        self.total += jobs
        if self.total > 1:
            await self.outlive()

    async def outlive(self) -> None:
        """From now on nobody may forget it."""
        if not self.kept:
            await self.keep(self)
            self.kept = True

    @property
    def left(self) -> int:
        """About how many jobs are to come, one at least."""
        return max(1, self.total - self.done)


Act = Callable[[bytes, Carrying], Awaitable[CtlAnswer]]
"""Carries a request out, from its beginning, however much of it was done before."""


@dataclass(slots=True)
class Bulk:
    """Within one reign."""

    bus: Bus
    clock: Clock
    verbs: Mapping[str, Act]
    ready: asyncio.Event
    """Set when the backlog has been read."""
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when what earlier reigns left is under way: whoever asks for it again means just that."""
    _under_way: dict[tuple[str, bytes], tuple[Carrying, asyncio.Task[CtlAnswer]]] = field(
        default_factory=dict[tuple[str, bytes], tuple[Carrying, asyncio.Task[CtlAnswer]]]
    )

    async def run(self) -> None:
        """Take up what earlier reigns left, until cancelled."""
        try:
            await self.ready.wait()
            for order in await self._left_behind():
                log.info("a %s that an earlier leader began is taken up again", order.verb)
                self._begin(order.verb, order.request.encode(), kept_at=order.at)
            self._begun.set()
            await asyncio.Event().wait()
        finally:
            for _, task in self._under_way.values():
                task.cancel()

    def verb(self, name: str) -> Callable[[bytes], Awaitable[CtlAnswer]]:
        """A control verb, as requests name it."""

        async def carry_out(data: bytes) -> CtlAnswer:
            return await self._answer(name, data)

        return carry_out

    async def _answer(self, verb: str, data: bytes) -> CtlAnswer:
        """What came of a request, or how far it is; asked once more, it is the same request."""
        patient = BulkRequest.decode(data).patient
        await self._begun.wait()
        carrying, task = self._under_way.get((verb, data)) or self._begin(verb, data)
        while not task.done():
            await asyncio.wait({task}, timeout=_PATIENCE_S)
            if not task.done() and patient and carrying.kept:
                return CtlAnswer(left=carrying.left)
        return await asyncio.shield(task)

    def _begin(
        self, verb: str, data: bytes, *, kept_at: float | None = None
    ) -> tuple[Carrying, asyncio.Task[CtlAnswer]]:
        taken_at, again = (self.clock.now(), False) if kept_at is None else (kept_at, True)
        carrying = Carrying(verb, data, self._keep, taken_at, taken_up=again, kept=again)
        task = asyncio.create_task(self._carry_out(carrying))
        self._under_way[verb, data] = (carrying, task)
        task.add_done_callback(lambda _: self._over(carrying))
        return carrying, task

    async def _carry_out(self, carrying: Carrying) -> CtlAnswer:
        while True:
            carrying.total = carrying.done = 0
            try:
                answer = await self.verbs[carrying.verb](carrying.data, carrying)
            except _FINAL as error:
                log.info("a %s is over: %s", carrying.verb, error)
                await self._forget(carrying)
                raise
            except QgjobError as error:
                if not carrying.kept:  # nothing was promised
                    raise
                log.warning("a %s could not be carried out yet: %s", carrying.verb, error)
                await asyncio.sleep(_PAUSE_S)
            except Exception:  # of what an earlier leader began nobody awaits the answer
                log.exception("a %s failed", carrying.verb)
                raise
            else:
                await self._forget(carrying)
                return answer

    def _over(self, carrying: Carrying) -> None:
        """Forget it, unless it may be asked for again, with the same words, and its answer would be dear.

        What concerns a single job is done again: a hundred thousand such answers would be much to keep.
        """
        key = (carrying.verb, carrying.data)
        _, task = self._under_way[key]
        lost = task.cancelled() or task.exception() is not None
        if lost or not carrying.kept or not BulkRequest.decode(carrying.data).patient:
            del self._under_way[key]
        else:
            asyncio.get_running_loop().call_later(_REMEMBERED_S, self._under_way.pop, key, None)

    async def _keep(self, carrying: Carrying) -> None:
        order = Order(verb=carrying.verb, request=carrying.data.decode(), at=carrying.taken_at)
        await kv.put(self.bus, ORDERS_BUCKET, _key(carrying), order.encode())

    async def _forget(self, carrying: Carrying) -> None:
        if not carrying.kept:
            return
        filter_ = {"filter": kv.key_subject(ORDERS_BUCKET, _key(carrying))}
        try:
            await self.bus.requests.api(f"STREAM.PURGE.KV_{ORDERS_BUCKET}", filter_)
        except QgjobError as error:  # the next leader finds that nothing is left to do
            log.warning("a %s that is done could not be forgotten: %s", carrying.verb, error)

    async def _left_behind(self) -> list[Order]:
        orders: list[Order] = []
        async for page in read_all(self.bus, f"KV_{ORDERS_BUCKET}", kv.key_subject(ORDERS_BUCKET, ">")):
            for message in page:
                try:
                    order = Order.decode(message.data)
                except BadMessageError as error:
                    log.warning("ignored an order on %s: %s", message.subject, error)
                    continue
                if order.verb in self.verbs:
                    orders.append(order)
        return orders


def _key(carrying: Carrying) -> str:
    return short_hash(carrying.verb, carrying.data.decode())
