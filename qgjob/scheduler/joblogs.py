"""Pages of a job's stored output, straight from the stream of logs: no consumer, no state."""

from __future__ import annotations

from typing import Final

from bus_schemas.agents import LogChunk
from bus_schemas.requests import LogsAnswer, LogsQuery, StoredChunk
from bus_schemas.streams import LOGS
from bus_schemas.tokens import encode_token
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_page
from qgjob.bus.follow import StreamMessage
from qgjob.errors import BadMessageError

_ANSWER_SHARE: Final = 4
"""A page takes a quarter of the largest message: text grows when it is escaped once more."""


async def read_logs(bus: Bus, query: LogsQuery, org_token: str | None) -> LogsAnswer:
    """A page of output behind `after_seq`; `org_token`: of that organisation only.

    A chunk that cannot be read is left out and said aloud. Raises `QgjobError` when the stream
    does not answer.
    """
    page = await read_page(
        bus,
        LOGS,
        f"qg.logs.{org_token or '*'}.{encode_token(query.job_id)}.*",
        start_seq=query.after_seq + 1,
        limit=query.limit,
        max_bytes=bus.max_payload // _ANSWER_SHARE,
    )
    largest = bus.max_payload // 2
    read = (_chunk(message, query.job_id, largest) for message in page.messages)
    chunks = tuple(chunk for chunk in read if chunk is not None)
    return LogsAnswer(chunks=chunks, more=page.pending > 0)


def _chunk(message: StreamMessage, job_id: str, largest: int) -> StoredChunk | None:
    if len(message.data) > largest:
        return _said(message, f"[a piece of the log of {len(message.data)} bytes is left out]\n")
    try:
        chunk = LogChunk.decode(message.data)
    except BadMessageError as error:
        return _said(message, f"[a piece of the log cannot be read: {error}]\n")
    if chunk.job_id != job_id:
        return None
    return StoredChunk(
        stream_seq=message.seq,
        attempt=chunk.attempt,
        at=chunk.at,
        parts=chunk.parts,
        dropped=chunk.dropped,
        eof=chunk.eof,
    )


def _said(message: StreamMessage, text: str) -> StoredChunk:
    attempt = message.subject.rpartition(".")[2]
    return StoredChunk(
        stream_seq=message.seq,
        attempt=int(attempt) if attempt.isdecimal() else 1,
        at=message.at,
        parts=(("sys", text),),
    )
