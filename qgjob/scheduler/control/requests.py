"""Receives control requests (`qg.ctl.<verb>.<org>`), and passes each to what carries out its verb."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bus_schemas import subjects
from bus_schemas.base import ErrorCode, Message, Problem
from bus_schemas.control import CtlAnswer
from qgjob.bus.connect import Bus
from qgjob.errors import BadMessageError, NotFoundError, QgjobError, RefusedError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger(__name__)

MAX_WAITING: Final = 1000
"""Requests beyond these are turned away at once."""

Verb = Callable[[bytes], Awaitable[Message]]
"""Carries out a request and answers it; a `QgjobError` that it raises becomes the answer's problem."""


@dataclass(slots=True)
class Control:
    """Receives control requests within one reign."""

    bus: Bus
    verbs: Mapping[str, Verb]
    ready: asyncio.Event
    """Set when the backlog has been read: before, a job that waits would be said to have ended."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

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
            await self._answer(msg, _problem(QgjobError("Too many requests at once; ask again.")))
            return
        task = asyncio.ensure_future(self._serve(msg))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, msg: Msg) -> None:
        await self.ready.wait()
        name = msg.subject.split(".")[2]
        answer: Message
        try:
            verb = self.verbs.get(name)
            if verb is None:
                raise BadMessageError(f"There is no control verb {name!r}.")
            answer = await verb(msg.data)
        except QgjobError as error:
            answer = _problem(error)
        except Exception:
            log.exception("the request %s failed", msg.subject)
            answer = _problem(QgjobError("The scheduler met an error of its own; see its log."))
        await self._answer(msg, answer)

    async def _answer(self, msg: Msg, answer: Message) -> None:
        if msg.reply:
            data = answer.encode()
            if len(data) > self.bus.max_payload:
                data = _problem(_too_large(len(data), self.bus.max_payload)).encode()
            with contextlib.suppress(Exception):  # who asked will ask again
                await self.bus.nc.publish(msg.reply, data)


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
