"""Pages of a job's stored output, straight from the stream of logs: no consumer, no state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from bus_schemas.logs import LogChunk, LogsAnswer, LogsQuery, StoredChunk
from bus_schemas.streams import LOGS
from bus_schemas.tokens import encode_token
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_between, read_last, read_page
from qgjob.bus.follow import StreamMessage
from qgjob.domain.tail import last_lines
from qgjob.errors import BadMessageError

_ANSWER_SHARE: Final = 4
"""A page takes a quarter of the largest message: text grows when it is escaped once more."""
_FIRST_LOOK: Final = 8
_FURTHER: Final = 4
"""How many places of the log stream are looked at first, from its end, and how much more each time."""
_TAIL_BYTES: Final = 4 * 2**20
"""Of stored output that is read at most for its last lines, as far as whole looks go."""


async def read_logs(bus: Bus, query: LogsQuery, org_token: str | None) -> LogsAnswer:
    """A page of output behind `after_seq`; `org_token`: of that organisation only.

    A chunk that cannot be read is left out and said aloud. Raises `QgjobError` when the stream
    does not answer.
    """
    pattern = f"qg.logs.{org_token or '*'}.{encode_token(query.job_id)}.*"
    if query.tail is not None:
        chunks = await _tail(bus, pattern, query.job_id, query.tail)
        shown = _fitting(chunks[: query.limit], bus.max_payload // 2)
        return LogsAnswer(chunks=shown, more=len(shown) < len(chunks))
    page = await read_page(
        bus,
        LOGS,
        pattern,
        start_seq=query.after_seq + 1,
        limit=query.limit,
        max_bytes=bus.max_payload // _ANSWER_SHARE,
    )
    return LogsAnswer(chunks=_chunks(bus, page.messages, query.job_id), more=page.pending > 0)


async def _tail(bus: Bus, pattern: str, job_id: str, lines: int) -> Sequence[StoredChunk]:
    """The chunks with the last lines, looked for further and further back: reading goes forwards only."""
    ends = await read_last(bus, LOGS, [pattern])
    if not ends:
        return ()
    first = (await read_page(bus, LOGS, pattern, limit=1)).messages
    begin, before = first[0].seq if first else 1, max(message.seq for message in ends) + 1
    held: list[StoredChunk] = []
    look, size = _FIRST_LOOK, 0
    while before > begin:
        start = max(begin, before - look)
        found = await read_between(bus, LOGS, pattern, start, before, max_bytes=bus.max_payload)
        held[:0] = _chunks(bus, found, job_id)
        size += sum(len(message.data) for message in found)
        kept, enough = last_lines(held, lines)
        if enough or size > _TAIL_BYTES:
            return kept
        before, look = start, look * _FURTHER
    return held


def _chunks(bus: Bus, messages: Iterable[StreamMessage], job_id: str) -> tuple[StoredChunk, ...]:
    largest = bus.max_payload // 2
    read = (_chunk(message, job_id, largest) for message in messages)
    return tuple(chunk for chunk in read if chunk is not None)


def _fitting(chunks: Sequence[StoredChunk], room: int) -> tuple[StoredChunk, ...]:
    """As many from the beginning as have room together in an answer, and at least one."""
    shown: list[StoredChunk] = []
    for chunk in chunks:
        room -= len(chunk.model_dump_json())
        if shown and room < 0:
            break
        shown.append(chunk)
    return tuple(shown)


def _chunk(message: StreamMessage, job_id: str, largest: int) -> StoredChunk | None:
    if len(message.data) > largest:
        return _said(message, f"[a piece of the log of {len(message.data)} bytes is left out]\n")
    try:
        chunk = LogChunk.decode(message.data)
    except BadMessageError as error:
        return _said(message, f"[a piece of the log cannot be read: {error}]\n")
    if chunk.job_id != job_id:
        return None
    return StoredChunk.of(chunk, message.seq)


def _said(message: StreamMessage, text: str) -> StoredChunk:
    attempt = message.subject.rpartition(".")[2]
    return StoredChunk(
        stream_seq=message.seq,
        attempt=int(attempt) if attempt.isdecimal() else 1,
        at=message.at,
        parts=(("sys", text),),
    )
