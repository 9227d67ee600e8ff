"""The output of jobs: the chunks that agents publish (`qg.logs`), and the query that reads them back."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from bus_schemas.base import Answer, AttemptNumber, Count, Id, Message, Model, Timestamp


class LogChunk(Message):
    """Some output of an attempt, in the order in which it was read."""

    job_id: Id
    attempt: AttemptNumber
    seq: Count
    at: Timestamp
    parts: tuple[tuple[Literal["out", "err", "sys"], str], ...] = ()
    """Which stream, and its text; `sys` is said by the agent itself."""
    dropped: Count = 0
    """How many bytes were left out before this chunk, the log being over its limit."""
    eof: bool = False


class LogsQuery(Message):
    """Stored output of a job (`qg.query.logs.<org>`), by its sequence in the log stream."""

    job_id: Id
    after_seq: Count = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 200
    tail: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Only the last lines of what the job wrote by now, so many: the page begins with the first of them."""


class StoredChunk(Model):
    """A chunk of output with its place in the log stream."""

    stream_seq: int
    attempt: int
    at: Timestamp
    parts: tuple[tuple[Literal["out", "err", "sys"], str], ...] = ()
    dropped: int = 0
    eof: bool = False

    @classmethod
    def of(cls, chunk: LogChunk, stream_seq: int) -> Self:
        """A chunk as it stands at a place of the stream."""
        return cls(
            stream_seq=stream_seq,
            attempt=chunk.attempt,
            at=chunk.at,
            parts=chunk.parts,
            dropped=chunk.dropped,
            eof=chunk.eof,
        )


class LogsAnswer(Answer):
    """A page of output; `more` when another page follows."""

    chunks: tuple[StoredChunk, ...] = ()
    more: bool = False
