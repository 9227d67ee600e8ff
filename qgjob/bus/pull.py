"""Pull messages from a consumer, surviving lost requests and restarted servers.

A client's own `fetch` forgets a request that was in flight when the server died, and a cancelled
one leaves an orphan behind that steals a message for a whole ack wait. Here one inbox serves
many requests; every request has a token in it, asks for a heartbeat each second, and is
made again after 2.5 s of silence. A message for an older token is still ours. Now and then the
inbox is another one: a server that passes answers on to other accounts remembers each request for
as long as somebody listens there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Self

from qgjob.bus.connect import Bus
from qgjob.errors import UnreachableError
from qgjob.waiting import set_within

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

EXPIRES_S: Final = 10.0
HEARTBEAT_S: Final = 1.0
SILENCE_S: Final = 2.5
STALE_S: Final = 1.0
"""What was on its way during a silence comes at its end, all in one go."""
_NS: Final = 1_000_000_000
_AGAIN_S: Final = 0.25
"""What was refused, or is to be asked of a new connection, is asked for again so soon."""
INBOX_S: Final = 60.0
"""How long an inbox is used; it is listened to for as long again, which no request lasts."""
_LOOK_S: Final = 1.0
"""How often it is looked whether the server is silent: each slot has a puller, and an idle lab sleeps."""

ACK: Final = b"+ACK"
NAK: Final = b"-NAK"
IN_PROGRESS: Final = b"+WPI"


class ConsumerGoneError(UnreachableError):
    """The consumer does not exist (any more), or JetStream is not there."""


class Puller:
    """Keeps pull requests pending at a consumer, and queues what it delivers.

    `ahead=n` keeps up to `n` messages on their way; without it, `ask` wants one message and is
    called again for the next. Use as an async context manager. `wake` is set when a message has come
    or the consumer is gone: for who waits for other things as well. `ours_s`: for how long what is
    delivered is surely ours. What comes after a longer silence, as when we stood still, may have lain
    on its way since and be somebody else's: it is left to its lease.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        consumer: str,
        *,
        ahead: int = 0,
        wake: asyncio.Event | None = None,
        ours_s: float = math.inf,
    ) -> None:
        self._bus = bus
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self.consumer = consumer
        self._prefetch = ahead
        self._wanted = ahead
        self._prefix = ""
        self._inboxes: list[Subscription] = []
        """The one in use, behind the one before it."""
        self._inbox_since = 0.0
        self._tokens: dict[str, int] = {}
        self._counter = 0
        self._messages: deque[Msg] = deque()
        self._wake = wake or asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._gone: str | None = None
        self._last_message_at = 0.0
        self._last_request_at = 0.0
        self._oldest_at = 0.0
        self._ours_s = ours_s
        self._silent_since: float | None = None
        """While the server should be heard: since when it is not."""
        self._stale_until = 0.0
        self._retired = False
        self._no_requests = asyncio.Event()
        self._retry_needed = asyncio.Event()
        """Something that is wanted may not be asked for."""
        self._loop = asyncio.get_running_loop()

    async def start(self) -> Self:
        """Subscribe to the inbox; a stream makes its first request. `close` or `retire` it later."""
        await self._open_inbox()
        self._bus.on_reconnect.append(self._on_reconnect)
        await self._request()
        self._task = asyncio.create_task(self._keep_requesting(), name=f"pull {self.consumer}")
        return self

    async def __aenter__(self) -> Self:
        """See `start`."""
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        """See `close`."""
        await self.close()

    async def close(self) -> None:
        """Stop at once; messages that came and were not taken are handed back."""
        try:
            await self._stop_requests()
        finally:
            await self._unsubscribe()

    async def retire(self) -> None:
        """Stop asking, and hand back whatever the standing request still brings until it has expired.

        Unsubscribing at once would lose a message that is on its way for a whole ack wait; the
        library's own drain kills the connection's reader when the server goes away meanwhile.
        """
        self._retired = True
        await self._stop_requests()
        left = self._last_request_at + EXPIRES_S + _AGAIN_S - self._loop.time()
        if self._tokens and left > 0:
            await set_within(self._no_requests, left)
        await self._unsubscribe()

    async def _stop_requests(self) -> None:
        self._wanted = 0
        if self._on_reconnect in self._bus.on_reconnect:
            self._bus.on_reconnect.remove(self._on_reconnect)
        try:
            if self._task:
                self._task.cancel()
                # Its cancellation is no news, but ours is: awaited itself, the task would hide the one behind
                # the other, and whoever was to stop here would go on for ever.
                await asyncio.wait({self._task})
        finally:
            await self._hand_back()

    async def _open_inbox(self) -> None:
        """Take another inbox for what is requested from now on."""
        self._inbox_since = self._loop.time()
        prefix = self._bus.nc.new_inbox() + "."
        self._inboxes.append(
            await self._bus.nc.subscribe(
                prefix + "*", cb=self._on_message, pending_msgs_limit=0, pending_bytes_limit=0
            )
        )
        self._prefix = prefix
        for former in self._inboxes[:-2]:
            self._inboxes.remove(former)
            await former.unsubscribe()

    async def _unsubscribe(self) -> None:
        with contextlib.suppress(Exception):  # the connection may be going away
            for inbox in self._inboxes:
                await inbox.unsubscribe()
        await self._hand_back()

    async def _hand_back(self) -> None:
        for msg in self.take():
            with contextlib.suppress(Exception):  # then its lease runs out instead
                await self._bus.nc.publish(msg.reply, NAK)

    @property
    def ready(self) -> bool:
        """Whether there is something to take, or the consumer is gone."""
        return self._gone is not None or bool(self._messages)

    @property
    def gone(self) -> bool:
        """Whether the consumer does not exist any more."""
        return self._gone is not None

    @property
    def has_message(self) -> bool:
        """Whether there is a message to take."""
        return bool(self._messages)

    @property
    def oldest_received_at(self) -> float:
        """When the oldest of what has not been taken came, by the event loop's clock, or a little earlier."""
        return self._oldest_at

    async def request_one(self) -> None:
        """Request one message, unless a request is pending."""
        if not self._prefetch and not self._wanted:
            self._wanted = 1
            await self._request()

    async def request_no_wait(self) -> None:
        """Request one message only if one is waiting now (`no_wait`)."""
        if not self._prefetch and not self._wanted and not self._tokens and not self.ready:
            await self._send({"batch": 1, "no_wait": True}, 1)

    def put_back(self, msg: Msg) -> None:
        """Put a taken message back into the queue: it is handed back with the rest."""
        self._messages.appendleft(msg)

    async def next(self) -> Msg:
        """The next message; raises `ConsumerGoneError` when there is no consumer to ask."""
        while not self._messages:
            if self._gone is not None:
                raise ConsumerGoneError(f"Consumer {self.consumer} is gone: {self._gone}.")
            self._wake.clear()
            await self._wake.wait()
        return self._messages.popleft()

    def take(self, limit: int | None = None) -> list[Msg]:
        """The messages that have come already, without waiting, oldest first."""
        out: list[Msg] = []
        while self._messages and (limit is None or len(out) < limit):
            out.append(self._messages.popleft())
        return out

    async def _on_message(self, msg: Msg) -> None:
        self._last_message_at = now = self._loop.time()
        if self._silent_since is not None and now - self._silent_since > self._ours_s:
            self._stale_until = now + STALE_S
        self._silent_since = now
        if msg.reply.startswith("$JS.ACK."):
            await self._on_delivery(msg, now)
        else:
            await self._on_status(msg)

    async def _on_delivery(self, msg: Msg, now: float) -> None:
        self._count_down()
        if now < self._stale_until:
            self._retry_needed.set()
            return  # asked for again by the next check
        if self._retired:
            await self._bus.nc.publish(msg.reply, NAK)
            return
        if not self._messages:
            self._oldest_at = now
        self._messages.append(msg)
        self._wake.set()
        if self._prefetch:
            if 2 * sum(self._tokens.values()) <= self._prefetch:
                await self._request()
        elif self._wanted:
            self._wanted -= 1

    async def _on_status(self, msg: Msg) -> None:
        """The server's word on a request: a heartbeat, or the end of it with the reason."""
        headers = msg.headers or {}
        status = headers.get("Status", "")
        if status == "100":
            return
        self._tokens.pop(msg.subject.rpartition(".")[2], None)
        self._check_settled()
        reason = headers.get("Description", "") or "nobody answers"
        if status == "503" or (status == "409" and "deleted" in reason.lower()):
            self._gone = reason
            self._wake.set()
        elif status in {"404", "408"}:
            await self._request()
        else:  # any other 409 (leadership change, too many requests): the next check asks again
            self._retry_needed.set()

    def _count_down(self) -> None:
        # A message bears its stream's subject, not the token: the oldest request is the one served.
        for token, left in self._tokens.items():
            if left > 1:
                self._tokens[token] = left - 1
            else:
                del self._tokens[token]
            break
        self._check_settled()

    def _check_settled(self) -> None:
        if not self._tokens:
            self._silent_since = None
            self._no_requests.set()

    async def _request(self) -> None:
        missing = self._wanted - sum(self._tokens.values())
        if missing <= 0 or self._gone is not None:
            return
        body = {"batch": missing, "expires": int(EXPIRES_S * _NS), "idle_heartbeat": int(HEARTBEAT_S * _NS)}
        await self._send(body, missing)

    async def _send(self, body: Mapping[str, object], batch: int) -> None:
        self._counter += 1
        token = format(self._counter, "x")
        self._tokens[token] = batch
        self._last_message_at = self._last_request_at = self._loop.time()
        if self._silent_since is None:
            self._silent_since = self._last_message_at
        self._no_requests.clear()
        # A stream of messages keeps its one: from two they would come in any order.
        if not self._prefetch and self._last_request_at - self._inbox_since > INBOX_S:
            await self._open_inbox()
        await self._bus.nc.publish(self._subject, json.dumps(body).encode(), reply=self._prefix + token)

    async def _keep_requesting(self) -> None:
        while self._gone is None:
            if await set_within(self._retry_needed, self._until_next_check()):
                await asyncio.sleep(_AGAIN_S)
            if self._tokens and self._loop.time() - self._last_message_at > SILENCE_S:
                self._tokens.clear()  # the server has forgotten our requests
            if self._bus.connected:
                self._retry_needed.clear()
                await self._request()

    def _until_next_check(self) -> float:
        """Seconds until the server counts as silent, if nothing comes from now on."""
        if not self._tokens:
            return _LOOK_S
        return min(_LOOK_S, max(_AGAIN_S, self._last_message_at + SILENCE_S - self._loop.time()))

    def _on_reconnect(self) -> None:
        """Forget pending requests: the server of a new connection knows none of them."""
        self._tokens.clear()
        self._check_settled()
        self._retry_needed.set()
