"""Ship a job's output to the log stream, in chunks, as it comes.

Bytes become text here (broken UTF-8 is replaced), stdout and stderr told apart, in the order in which
they were read, with secrets masked. A chunk goes out 100 ms after its first byte or when it is large. Of
a log over its limit the beginning and the end are kept; what is left out between them is counted.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import time
from collections import deque
from collections.abc import Awaitable
from typing import Final, Literal

from agent.output.log_tail import TAIL_BYTES, LogTail
from agent.output.masking import Masker
from bus_schemas import subjects
from bus_schemas.jobs import JobMessage
from bus_schemas.logs import LogChunk
from bus_schemas.streams import LOGS
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_last
from qgjob.domain.wording import show_size
from qgjob.errors import QgjobError

log = logging.getLogger(__name__)

CHUNK_BYTES: Final = 64 * 1024
MAX_LOG_BYTES: Final = 50 * 2**20
_BUFFER_BYTES: Final = 1 * 2**20
_LINGER_S: Final = 0.1
_PATIENCE_S: Final = 90.0
"""How long text waits for a server that does not take it: longer than a restart."""
_PAUSE_S: Final = 0.2
_ANSWER_S: Final = 2.0
_MAX_PARTS: Final = 2000

Part = Literal["out", "err", "sys"]
_NAMES: Final[dict[str, Part]] = {"stdout": "out", "stderr": "err", "sys": "sys"}


class LogShipper:
    """The log of one attempt. Call `write` as output comes, `close` at the end."""

    def __init__(
        self,
        bus: Bus,
        message: JobMessage,
        *,
        masker: Masker | None = None,
        limit: int = MAX_LOG_BYTES,
    ) -> None:
        spec = message.spec
        self._bus = bus
        self._message = message
        self._subject = subjects.logs(spec.org_id, spec.job_id, message.attempt)
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr", "sys")
        }
        self._masker = masker
        self._maskers = {name: masker.stream() for name in self._decoders} if masker else {}
        self._parts: deque[tuple[Part, str]] = deque()
        self._size = 0
        self._limit = limit
        self._head_left = limit - min(TAIL_BYTES, limit // 2)
        self._tail: LogTail[Part] | None = None
        self._dropped = 0
        self._refused_since: float | None = None
        self._seq = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False
        self._given_up = False
        self._task: asyncio.Task[None] | None = None
        self._last_output = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds since the job's last output; 0 while we do not read its output."""
        return time.monotonic() - self._last_output if self._room.is_set() else 0.0

    def listen(self) -> None:
        """Start counting the job's silence from now."""
        self._last_output = time.monotonic()

    def write(self, stream: Literal["stdout", "stderr", "sys"], data: bytes) -> Awaitable[None] | None:
        """Take output; returns something to await when the sender should wait for the network."""
        self._last_output = time.monotonic()
        return self._take_in(stream, self._maskers[stream].feed(data) if self._maskers else data)

    def say(self, text: str) -> None:
        """A line of the agent's own, which may name what a test has made."""
        if self._masker:
            text = self._masker.text(text)
        self._take_in("sys", (text + "\n").encode("utf-8", "replace"))

    def _take_in(self, stream: str, data: bytes) -> Awaitable[None] | None:
        name = _NAMES[stream]
        if self._tail is not None:
            self._take_to_tail(self._tail, name, data)
            return None
        head, rest = data[: self._head_left], data[self._head_left :]
        self._head_left -= len(head)
        self._add(name, self._decoders[stream].decode(head))
        if rest:
            self._finish_text()
            self._tail = LogTail(min(TAIL_BYTES, self._limit // 2))
            self._take_to_tail(self._tail, name, rest)
        if self._size < _BUFFER_BYTES:
            return None
        self._room.clear()
        return self._until_room()

    def _take_to_tail(self, tail: LogTail[Part], name: Part, data: bytes) -> None:
        complete = not tail.dropped
        tail.add(name, data)
        if complete and tail.dropped:
            limit = show_size(self._limit)
            self._add("sys", f"\nThe log is over its limit of {limit}: from here on only its end is kept.\n")

    def _finish_text(self) -> None:
        for name, decoder in self._decoders.items():
            self._add(_NAMES[name], decoder.decode(b"", final=True))

    async def close(self, *, always: bool) -> None:
        """Send what is left and the end mark; a log never written to gets one only if `always`."""
        if self._task is None and not always:
            return
        for stream, masker in self._maskers.items():
            self._take_in(stream, masker.close())
        self._finish_text()
        self._closing = True
        self._start()
        self._wake.set()
        if self._task:
            await self._task

    def abandon(self) -> None:
        """Drop what was not sent: the attempt is not ours any more."""
        if self._task:
            self._task.cancel()

    async def _until_room(self) -> None:
        await self._room.wait()
        self._last_output = time.monotonic()

    def _add(self, name: Part, text: str) -> None:
        if not text:
            return
        if self._parts and self._parts[-1][0] == name and self._size < CHUNK_BYTES:
            self._parts[-1] = (name, self._parts[-1][1] + text)
        else:
            self._parts.append((name, text))
        self._size += len(text)
        self._start()
        self._wake.set()

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._ship(), name="log")

    async def _ship(self) -> None:
        while True:
            await self._wake.wait()
            if not self._closing and self._size < CHUNK_BYTES:
                await asyncio.sleep(_LINGER_S)
            self._wake.clear()
            while self._parts and not self._is_last():
                await self._send(self._take(), eof=False)
            if self._closing:
                await self._send_tail()
                await self._send(self._take(), eof=True)
                return

    def _is_last(self) -> bool:
        """Whether all that is left fits into the chunk with the end mark: one publish less for most tests."""
        return (
            self._closing
            and self._tail is None
            and self._size <= CHUNK_BYTES
            and len(self._parts) <= _MAX_PARTS
        )

    async def _send_tail(self) -> None:
        tail, self._tail = self._tail, None
        if tail is None:
            return
        parts = tail.take()
        dropped = tail.dropped
        self._parts.extend(parts)
        self._size += sum(len(text) for _, text in parts)
        while self._parts:
            await self._send(self._take(), eof=False, dropped=dropped)
            dropped = 0

    def _take(self) -> list[tuple[Part, str]]:
        taken: list[tuple[Part, str]] = []
        size = 0
        while self._parts and size < CHUNK_BYTES and len(taken) < _MAX_PARTS:
            name, text = self._parts[0]
            room = CHUNK_BYTES - size
            if len(text) > room:
                self._parts[0] = (name, text[room:])
                text = text[:room]
            else:
                self._parts.popleft()
            taken.append((name, text))
            size += len(text)
        self._size -= size
        if self._size < _BUFFER_BYTES // 2:
            self._room.set()
        return taken

    async def _send(self, parts: list[tuple[Part, str]], *, eof: bool, dropped: int = 0) -> None:
        chunk = LogChunk(
            job_id=self._message.spec.job_id,
            attempt=self._message.attempt,
            seq=self._seq,
            at=time.time(),
            parts=tuple(parts),
            dropped=dropped + (self._dropped if eof else 0),
            eof=eof,
        )
        self._seq += 1
        payload = chunk.encode()
        again = False
        while True:
            try:
                await self._publish(payload, again=again)
            except QgjobError as error:
                again = True
                now = time.monotonic()
                since = self._refused_since = self._refused_since or now
                if now - since < _PATIENCE_S:
                    await asyncio.sleep(_PAUSE_S)  # the server is away: the buffer fills and the job waits
                    continue
                # From now on each chunk has one try: neither the job nor its result waits any longer.
                left_out = sum(len(text.encode()) for _, text in parts)
                if not self._given_up:
                    log.warning("%s: output is left out of the log: %s", self._subject, error)
                self._given_up = True
                self._dropped += left_out
            else:
                self._refused_since = None
            return

    async def _publish(self, payload: bytes, *, again: bool) -> None:
        """Store a chunk. `again`: it may be stored already, and only the answer was lost or late."""
        if again:
            last = await read_last(self._bus, LOGS, [self._subject], timeout=_ANSWER_S)
            if last and last[-1].data == payload:
                return
        await self._bus.requests.publish(self._subject, payload, timeout=_ANSWER_S)
