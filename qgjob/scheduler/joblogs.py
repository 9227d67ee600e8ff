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
    chunks = tuple(chunk for message in page.messages if (chunk := _chunk(message, query.job_id)) is not None)
    return LogsAnswer(chunks=chunks, more=page.pending > 0)


def _chunk(message: StreamMessage, job_id: str) -> StoredChunk | None:
    try:
        chunk = LogChunk.decode(message.data)
    except BadMessageError as error:
        attempt = message.subject.rpartition(".")[2]
        return StoredChunk(
            stream_seq=message.seq,
            attempt=int(attempt) if attempt.isdecimal() else 1,
            at=message.at,
            parts=(("sys", f"[a piece of the log cannot be read: {error}]\n"),),
        )
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
