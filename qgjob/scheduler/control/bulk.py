"""Cancel, retry or reprioritise many jobs, even if the leader that began it is replaced half way.

Such a request is kept in a bucket from before its first job is touched until its last one is done; the
next leader resumes what it finds there. Each verb is idempotent: what it did to a job it does once.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bus_schemas.control import BulkRequest, CtlAnswer, Order, Refusal, merge_answers
from bus_schemas.streams import ORDERS_BUCKET
from bus_schemas.tokens import short_hash
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all
from qgjob.clock import Clock
from qgjob.errors import BadMessageError, NotFoundError, QgjobError, RefusedError
from qgjob.scheduler.slices import gathered

log = logging.getLogger(__name__)

_PROGRESS_AFTER_S: Final = 2.0
"""How long a patient client waits for the answer before it is told how many jobs are left."""
_ANSWER_TTL_S: Final = 60.0
"""How long an answer is kept for a client that asks again because it lost it."""
_PAUSE_S: Final = 1.0
_AT_ONCE: Final = 50
_FINAL: Final = (BadMessageError, NotFoundError, RefusedError)
"""Errors that another try would meet again."""


@dataclass(slots=True, eq=False)
class Operation:
    """A request while it is carried out, and its progress, which the verb keeps up to date."""

    verb: str
    data: bytes
    save: Callable[[Operation], Awaitable[None]]
    accepted_at: float
    """When it was first taken, by this leader or an earlier one (seconds since 1970)."""
    resumed: bool = False
    """An earlier leader began it."""
    persisted: bool = False
    total: int = 0
    done: int = 0

    async def add_jobs(self, jobs: int) -> None:
        """Note that so many more jobs are to be changed; with more than one it is persisted."""
        self.total += jobs
        if self.total > 1:
            await self.persist()

    async def persist(self) -> None:
        """Have the next leader resume it, should this one be replaced before it is done."""
        if not self.persisted:
            await self.save(self)
            self.persisted = True

    @property
    def remaining(self) -> int:
        """About how many jobs are left, one at least."""
        return max(1, self.total - self.done)


Handler = Callable[[bytes, Operation], Awaitable[CtlAnswer]]
"""Carries out a request, from its beginning, however much of it was done before."""


@dataclass(slots=True)
class Bulk:
    """Runs operations within one reign."""

    bus: Bus
    clock: Clock
    verbs: Mapping[str, Handler]
    ready: asyncio.Event
    """Set when the backlog has been read."""
    _resumed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when what earlier reigns left is under way: the same request sent again joins it."""
    _running: dict[tuple[str, bytes], tuple[Operation, asyncio.Task[CtlAnswer]]] = field(
        default_factory=dict[tuple[str, bytes], tuple[Operation, asyncio.Task[CtlAnswer]]]
    )

    async def run(self) -> None:
        """Resume what earlier reigns left, until cancelled."""
        try:
            await self.ready.wait()
            for order in await self._load_unfinished():
                log.info("a %s that an earlier leader began is resumed", order.verb)
                self._start(order.verb, order.request.encode(), kept_at=order.at)
            self._resumed.set()
            await asyncio.Event().wait()
        finally:
            for _, task in self._running.values():
                task.cancel()

    def verb(self, name: str) -> Callable[[bytes], Awaitable[CtlAnswer]]:
        """The control verb of that name."""

        async def carry_out(data: bytes) -> CtlAnswer:
            return await self._answer(name, data)

        return carry_out

    async def _answer(self, verb: str, data: bytes) -> CtlAnswer:
        """The answer to a request, or its progress; a request with the same bytes joins the first."""
        patient = BulkRequest.decode(data).patient
        await self._resumed.wait()
        operation, task = self._running.get((verb, data)) or self._start(verb, data)
        while not task.done():
            await asyncio.wait({task}, timeout=_PROGRESS_AFTER_S)
            if not task.done() and patient and operation.persisted:
                return CtlAnswer(left=operation.remaining)
        return await asyncio.shield(task)

    def _start(
        self, verb: str, data: bytes, *, kept_at: float | None = None
    ) -> tuple[Operation, asyncio.Task[CtlAnswer]]:
        taken_at, again = (self.clock.now(), False) if kept_at is None else (kept_at, True)
        operation = Operation(verb, data, self._save, taken_at, resumed=again, persisted=again)
        task = asyncio.create_task(self._execute(operation))
        self._running[verb, data] = (operation, task)
        task.add_done_callback(lambda _: self._on_done(operation))
        return operation, task

    async def _execute(self, operation: Operation) -> CtlAnswer:
        while True:
            operation.total = operation.done = 0
            try:
                answer = await self.verbs[operation.verb](operation.data, operation)
            except _FINAL as error:
                log.info("a %s is over: %s", operation.verb, error)
                await self._delete(operation)
                raise
            except QgjobError as error:
                if not operation.persisted:  # the client gets the error, and the request is dropped
                    raise
                log.warning("a %s could not be carried out yet: %s", operation.verb, error)
                await asyncio.sleep(_PAUSE_S)
            except Exception:  # nobody awaits the answer of a resumed operation: log it
                log.exception("a %s failed", operation.verb)
                raise
            else:
                await self._delete(operation)
                return answer

    def _on_done(self, operation: Operation) -> None:
        """Drop it, but keep for a while an answer that a patient client may ask for again.

        A request for a single job is simply carried out again: a hundred thousand such answers would be a lot
        to keep.
        """
        key = (operation.verb, operation.data)
        _, task = self._running[key]
        lost = task.cancelled() or task.exception() is not None
        if lost or not operation.persisted or not BulkRequest.decode(operation.data).patient:
            del self._running[key]
        else:
            asyncio.get_running_loop().call_later(_ANSWER_TTL_S, self._running.pop, key, None)

    async def _save(self, operation: Operation) -> None:
        order = Order(verb=operation.verb, request=operation.data.decode(), at=operation.accepted_at)
        await kv.put(self.bus, ORDERS_BUCKET, _key(operation), order.encode())

    async def _delete(self, operation: Operation) -> None:
        if not operation.persisted:
            return
        filter_ = {"filter": kv.key_subject(ORDERS_BUCKET, _key(operation))}
        try:
            await self.bus.requests.api(f"STREAM.PURGE.KV_{ORDERS_BUCKET}", filter_)
        except QgjobError as error:  # the next leader finds that nothing is left to do
            log.warning("a %s that is done could not be forgotten: %s", operation.verb, error)

    async def _load_unfinished(self) -> list[Order]:
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


def _key(operation: Operation) -> str:
    return short_hash(operation.verb, operation.data.decode())


def for_each(act: Handler) -> Handler:
    """Extend a verb to requests that name several jobs: each is handled alone, and may be refused alone."""

    async def carry_out(data: bytes, operation: Operation) -> CtlAnswer:
        request = BulkRequest.decode(data)
        if not request.also:
            return await act(data, operation)
        names = list(dict.fromkeys((request.id, *request.also)))
        await operation.add_jobs(len(names))
        await operation.persist()
        said: dict[str, Any] = json.loads(data)
        del said["also"]

        async def one(name: str) -> CtlAnswer:
            alone = json.dumps({**said, "id": name}).encode()
            answer = await _answered(act, name, replace(operation, data=alone, total=0, done=0))
            operation.done += 1
            return answer

        return merge_answers(await gathered(names, one, _AT_ONCE))

    return carry_out


async def _answered(act: Handler, name: str, operation: Operation) -> CtlAnswer:
    try:
        answer = await act(operation.data, operation)
    except (BadMessageError, NotFoundError, RefusedError) as error:
        return CtlAnswer(refused=(Refusal(ids=(name,), message=error.message),))
    if answer == CtlAnswer():  # a job that a retry does not want; who asked is to hear of each
        return CtlAnswer(already=(name,))
    return answer
