"""Requests over one inbox: JetStream publishes, its API, and our own services.

One subscription carries all answers and one timer their deadlines, so that a publish waiting for
its acknowledgement costs a future and nothing more, and an idle connection costs nothing.
An error answer is delivered as an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError

from qgjob.bus.denial import Denial
from qgjob.errors import ExitCode, NotAllowedError, QgjobError, RefusedError, UnreachableError

if TYPE_CHECKING:
    from nats.aio.client import Client as NatsClient
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

DEFAULT_TIMEOUT_S = 5.0
_SWEEP_S = 0.1
_NO_RESPONDERS = "503"
_NOT_OF_ACCOUNT = 10039
"""JetStream is there, for other accounts."""
_HEADERS_BYTES = 512
"""More than the headers that we send; they count towards the server's `max_payload`."""


class RequestTimeoutError(QgjobError):
    """No answer in time: whether it was carried out is not known."""

    # No `UnreachableError`: who takes that for not carried out would be wrong here.
    exit_code = ExitCode.UNREACHABLE


class NoRespondersError(UnreachableError):
    """Nobody serves the subject now."""


class JsError(QgjobError):
    """JetStream refused: `code` is its HTTP-like code, `err_code` the reason (see its errors.json)."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(f"JetStream refused: {description} ({err_code})")
        self.code = code
        self.err_code = err_code
        self.description = description


@dataclass(frozen=True, slots=True)
class PubAck:
    """Where a published message was stored."""

    stream: str
    seq: int
    count: int = 1


class Requester:
    """Sends requests and hands each answer to who waits for it."""

    def __init__(self, nc: NatsClient) -> None:
        self._nc = nc
        self._prefix = nc.new_inbox() + "."
        self._cut = len(self._prefix)
        self._waiting: dict[str, tuple[asyncio.Future[Msg], float, str]] = {}
        self._counter = 0
        self._subscription: Subscription | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        """Subscribe to the inbox."""
        self._subscription = await self._nc.subscribe(self._prefix + "*", cb=self._on_answer)

    async def close(self) -> None:
        """Refuse what still waits and stop the timer."""
        for future, _, subject in self._waiting.values():
            if not future.done():
                future.set_exception(
                    RequestTimeoutError(f"The connection was closed before {subject} answered.")
                )
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> Msg:
        """Publish and wait for one answer.

        Raises `NoRespondersError` when nobody listens, `RequestTimeoutError` after `timeout`
        seconds, `NotAllowedError` when the server denies the subject.
        """
        future = await self.send(subject, payload, headers=headers, timeout=timeout)
        return await future

    async def send(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> asyncio.Future[Msg]:
        """Publish now and return the future of the answer, so that many can be in flight."""
        self._counter += 1
        token = format(self._counter, "x")
        future: asyncio.Future[Msg] = self._loop.create_future()
        self._wait_for(token, future, timeout, subject)
        size = len(payload) + (_HEADERS_BYTES if headers else 0)
        try:
            if size > self._nc.max_payload:  # the server would close the connection on a larger one
                raise MaxPayloadError
            await self._nc.publish(
                subject, payload, reply=self._prefix + token, headers=dict(headers) if headers else None
            )
        except MaxPayloadError as error:
            self._waiting.pop(token, None)
            limit = self._nc.max_payload
            raise RefusedError(
                f"A message of {size} bytes on {subject} is larger than the server takes ({limit} bytes)."
            ) from error
        except NatsError as error:  # closed, or its buffer is full while the server is away
            self._waiting.pop(token, None)
            raise UnreachableError(f"{subject} cannot be sent now: {error}.") from error
        except BaseException:
            self._waiting.pop(token, None)
            raise
        return future

    async def round_trip(self, *, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        """Wait until the server has handled all that was sent so far: a message of our own comes back.

        Not the library's `flush`: one that times out leaves a future behind on which the next
        answer of the server kills the connection's reader.
        """
        self._counter += 1
        token = format(self._counter, "x")
        future: asyncio.Future[Msg] = self._loop.create_future()
        self._wait_for(token, future, timeout, self._prefix + token)
        try:
            await self._nc.publish(self._prefix + token, b"")
        except NatsError as error:
            self._waiting.pop(token, None)
            raise UnreachableError(f"The connection is lost: {error}.") from error
        # Credentials that may not publish there are told so, which is an answer as well.
        with contextlib.suppress(NotAllowedError):
            await future

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> PubAck:
        """Publish into a stream; raises `JsError` when the stream refuses."""
        return read_ack(await self.request(subject, payload, headers=headers, timeout=timeout))

    async def api(
        self, name: str, body: Mapping[str, Any] | None = None, *, timeout: float = 10.0
    ) -> dict[str, Any]:
        """Call the JetStream API, e.g. `STREAM.INFO.QG_JOBS`; raises `JsError`."""
        payload = json.dumps(body).encode() if body is not None else b""
        try:
            answer = await self.request(f"$JS.API.{name}", payload, timeout=timeout)
        except NoRespondersError:
            raise UnreachableError(
                "The server has no JetStream, or not for this account.",
                hint="Start nats-server with -js or with the project's nats.conf.",
            ) from None
        return read_answer(answer)

    def denied(self, denial: Denial) -> None:
        """Fail the requests that wait for an answer from a subject that the server denied."""
        for token, (future, _, subject) in list(self._waiting.items()):
            if denial.names(subject):
                self._waiting.pop(token, None)
                if not future.done():
                    future.set_exception(denial.of_publish(subject))

    async def _on_answer(self, msg: Msg) -> None:
        entry = self._waiting.pop(msg.subject[self._cut :], None)
        if entry is None or entry[0].done():
            return
        if msg.headers and not msg.data and msg.headers.get("Status") == _NO_RESPONDERS:
            entry[0].set_exception(NoRespondersError(f"Nobody answers {entry[2]} now."))
        else:
            entry[0].set_result(msg)

    def _wait_for(self, token: str, future: asyncio.Future[Msg], timeout: float, subject: str) -> None:
        self._waiting[token] = (future, self._loop.time() + timeout, subject)
        if self._timer is None:
            self._timer = self._loop.call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        now = self._loop.time()
        late = [token for token, (_, deadline, _) in self._waiting.items() if deadline < now]
        for token in late:
            future, _, subject = self._waiting.pop(token)
            if not future.done():
                future.set_exception(RequestTimeoutError(f"No answer from {subject} in time."))
        self._timer = self._loop.call_later(_SWEEP_S, self._sweep) if self._waiting else None


def read_answer(msg: Msg) -> dict[str, Any]:
    """The JSON of an API answer; raises `JsError` when it is an error."""
    answer: dict[str, Any] = json.loads(msg.data)
    error = answer.get("error")
    if error:
        refused = JsError(
            int(error.get("code", 0)), int(error.get("err_code", 0)), str(error.get("description", ""))
        )
        if refused.err_code == _NOT_OF_ACCOUNT:
            raise NotAllowedError(
                "The account of these credentials has no JetStream.",
                hint="Take those of the role that this program has (deploy/accounts.conf).",
            ) from refused
        raise refused
    return answer


def refusal_of(msg: Msg) -> QgjobError:
    """Why the answer to a direct get is no message."""
    headers = msg.headers or {}
    if status := headers.get("Status"):
        return JsError(int(status), 0, headers.get("Description", "direct get refused"))
    try:
        read_answer(msg)
    except QgjobError as error:
        return error
    except ValueError:
        pass
    return JsError(0, 0, "the answer is no message")


def read_ack(msg: Msg) -> PubAck:
    """The acknowledgement of a publish; raises `JsError` when it was refused."""
    answer = read_answer(msg)
    return PubAck(str(answer["stream"]), int(answer["seq"]), int(answer.get("count", 1)))
