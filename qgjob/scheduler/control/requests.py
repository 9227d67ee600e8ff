"""Receives control requests (`qg.ctl.<verb>.<org>`), and passes each to what carries out its verb."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bus_schemas import subjects
from bus_schemas.base import Answer, ErrorCode, Problem
from bus_schemas.control import CtlAnswer
from qgjob.bus.connect import Bus
from qgjob.errors import BadMessageError, NotFoundError, QgjobError, RefusedError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger(__name__)

MAX_WAITING: Final = 1000
"""Requests beyond these are turned away at once."""

_KEPT: Final = 5000
_KEPT_S: Final = 60.0
_KEPT_BYTES: Final = 4096
"""An answer that is kept is no longer than that: of larger ones `Bulk` keeps what is needed."""

Verb = Callable[[bytes], Awaitable[Answer]]
"""Carries out a request and answers it; a `QgjobError` that it raises becomes the answer's problem."""


@dataclass(slots=True)
class Control:
    """Receives control requests within one reign."""

    bus: Bus
    verbs: Mapping[str, Verb]
    ready: asyncio.Event
    """Set when the backlog has been read: before, a job that waits would be said to have ended."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _answers: dict[bytes, asyncio.Future[bytes]] = field(default_factory=dict[bytes, asyncio.Future[bytes]])
    """By request, for who asks again as the answer was late: a second delete would find nothing."""

    async def run(self) -> None:
        """Answer until cancelled."""
        async with self.bus.subscribed(subjects.CTL_ALL, self._on_request):
            try:
                await asyncio.Event().wait()
            finally:
                for task in self._tasks:
                    task.cancel()

    async def _on_request(self, msg: Msg) -> None:
        if len(self._tasks) >= MAX_WAITING:
            await self._reply(msg, _problem(QgjobError("Too many requests at once; ask again.")).encode())
            return
        task = asyncio.ensure_future(self._serve(msg))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, msg: Msg) -> None:
        await self.ready.wait()
        key = _key(msg)
        if key is None:
            data = self._fit(await self._carry_out(msg))
        elif (first := self._answers.get(key)) is not None:
            data = await asyncio.shield(first)
        else:
            data = await self._carry_out_once(msg, key)
        await self._reply(msg, data)

    async def _carry_out_once(self, msg: Msg, key: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        first = self._answers[key] = loop.create_future()
        kept_s = 0.0
        try:
            answer = await self._carry_out(msg)
            data = self._fit(answer)
            first.set_result(data)
            is_final = answer.problem is None or answer.problem.code != "unavailable"
            if is_final and len(data) <= _KEPT_BYTES and len(self._answers) <= _KEPT:
                kept_s = _KEPT_S
        finally:
            first.cancel()
            loop.call_later(kept_s, self._answers.pop, key, None)
        return data

    async def _carry_out(self, msg: Msg) -> Answer:
        name = msg.subject.split(".")[2]
        try:
            verb = self.verbs.get(name)
            if verb is None:
                raise BadMessageError(f"There is no control verb {name!r}.")
            return await verb(msg.data)
        except QgjobError as error:
            return _problem(error)
        except Exception:
            log.exception("the request %s failed", msg.subject)
            return _problem(QgjobError("The scheduler met an error of its own; see its log."))

    def _fit(self, answer: Answer) -> bytes:
        data = answer.encode()
        if len(data) > self.bus.max_payload:
            data = _problem(_too_large(len(data), self.bus.max_payload)).encode()
        return data

    async def _reply(self, msg: Msg, data: bytes) -> None:
        if msg.reply:
            with contextlib.suppress(Exception):  # who asked will ask again
                await self.bus.nc.publish(msg.reply, data)


def _key(msg: Msg) -> bytes | None:
    """What a request that is sent again has in common with the first: all of it; None where it has no id.

    The id alone is the caller's word: it may be long, and somebody else's request may have the same.
    """
    request_id = (msg.headers or {}).get(subjects.REQUEST_ID)
    if request_id is None:
        return None
    digest = hashlib.sha256(msg.data)
    digest.update(f" {msg.subject} {request_id}".encode(errors="replace"))
    return digest.digest()


def _too_large(size: int, limit: int) -> RefusedError:
    """What was asked for is done; told in silence, it would be asked for again and again."""
    return RefusedError(
        f"It is done, but the answer takes {size} bytes and the server {limit} at most.",
        hint="Raise max_payload in the server's nats.conf; `qgjob list` shows what became of the jobs.",
    )


def _problem(error: QgjobError) -> CtlAnswer:
    code: ErrorCode = "unavailable"
    if isinstance(error, BadMessageError):
        code = "bad_request"
    elif isinstance(error, NotFoundError):
        code = "not_found"
    elif isinstance(error, RefusedError):
        code = "refused"
    return CtlAnswer(problem=Problem(code=code, message=error.message[:4000], hint=error.hint))
