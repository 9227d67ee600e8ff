"""Sends a query or a control request to whichever scheduler answers, and retries while none does."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Final, TypeVar

from bus_schemas import subjects
from bus_schemas.base import Answer, ErrorCode, Message
from qgjob.bus.connect import Bus
from qgjob.bus.requester import NoRespondersError, RequestTimeoutError
from qgjob.client.requests.slow import no_answer_error, no_scheduler_error, report_slow_answer
from qgjob.errors import NotFoundError, QgjobError, RefusedError, UnreachableError, UsageError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

A = TypeVar("A", bound=Answer)

ANSWER_TIMEOUT_S: Final = 5.0
NO_SCHEDULER_S: Final = 2.0
"""How long a scheduler may be away (a restart, a new leader) before that is said."""
ANOTHER_AFTER_S: Final = 1.0
"""A replica that stands still is given its share of the questions all the same: then one more is asked."""
_RETRY_S: Final = 0.1
_ERRORS: Final[dict[ErrorCode, type[QgjobError]]] = {
    "not_found": NotFoundError,
    "bad_request": UsageError,
    "refused": RefusedError,
    "not_leader": UnreachableError,
    "unavailable": UnreachableError,
}


async def ask(
    bus: Bus,
    subject: str,
    message: Message,
    answer: type[A],
    *,
    timeout: float = ANSWER_TIMEOUT_S,
    patience: float | None = None,
    heard: bool = False,
) -> A:
    """Send a request and return its answer; it is sent again for 2 s while no scheduler can answer it.

    Raises what a problem in the answer stands for, and `UnreachableError` when no scheduler answers: after
    2 s when none is there, after `patience` seconds (one and a half times `timeout` unless given, at most
    what `Bus.answers_within_s` says) when one is silent. A query goes to another replica as well when the
    first says nothing for a second. `heard`: a scheduler has taken this request already, so another one is
    waited for with the same patience.
    """
    patience = min(timeout * 1.5 if patience is None else patience, bus.answers_within_s)
    timeout = min(timeout, patience)
    if not bus.on_slow:
        return await _ask(bus, subject, message, answer, timeout, patience, heard=heard)
    slow_report = asyncio.create_task(report_slow_answer(bus), name="who is waited for")
    try:
        return await _ask(bus, subject, message, answer, timeout, patience, heard=heard)
    finally:
        slow_report.cancel()


async def _ask(
    bus: Bus,
    subject: str,
    message: Message,
    answer: type[A],
    timeout: float,
    patience: float,
    *,
    heard: bool,
) -> A:
    loop = asyncio.get_running_loop()
    asked = loop.time()
    silent = False
    headers = {subjects.REQUEST_ID: secrets.token_hex(8)} if subject.startswith(subjects.REQUESTS) else None
    while True:
        left = max(_RETRY_S, asked + patience - loop.time())
        try:
            wait_s = min(timeout, left)
            if headers is None:
                reply = await _first_answer(bus, subject, message.encode(), wait_s)
            else:
                reply = await bus.requests.request(subject, message.encode(), headers=headers, timeout=wait_s)
        except NoRespondersError:
            if loop.time() < asked + (patience if heard else NO_SCHEDULER_S):
                await asyncio.sleep(_RETRY_S)
                continue
            raise await no_scheduler_error(bus, subject, sent=silent) from None
        except RequestTimeoutError:
            heard = silent = True
            if loop.time() < asked + patience:
                continue
            raise await no_answer_error(bus, subject) from None
        found = answer.decode(reply.data)
        problem = found.problem
        if problem is None:
            return found
        # The store, or the leader, may have been started a moment ago.
        passing = problem.code == "unavailable" and subject.startswith(subjects.QUERIES)
        if not passing or loop.time() >= asked + NO_SCHEDULER_S:
            hint = problem.hint
            if silent and problem.code == "not_found" and headers:  # who had heard it is not there any more
                hint = (
                    "It was asked for more than once without an answer; the first may have been carried out."
                )
            raise _ERRORS[problem.code](problem.message, hint=hint)
        await asyncio.sleep(_RETRY_S)


async def _first_answer(bus: Bus, subject: str, question: bytes, timeout: float) -> Msg:
    """Ask what any replica can answer, and another one too when the first says nothing.

    What is only long on its way is not asked for twice: a message of our own comes back behind it.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + timeout
    asked = [await bus.requests.send(subject, question, timeout=timeout)]
    try:
        while True:
            done, _ = await asyncio.wait(asked, timeout=ANOTHER_AFTER_S, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return done.pop().result()
            with contextlib.suppress(RequestTimeoutError):
                await bus.requests.round_trip(timeout=give_up - loop.time())
                if not any(answer.done() for answer in asked):
                    asked.append(await bus.requests.send(subject, question, timeout=give_up - loop.time()))
    finally:
        for answer in asked:
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # one is heeded, and asyncio would log the others
