"""Dead letters: unreadable messages in `QG_DEAD`, and the requests that list and drop them.

A letter's number is its sequence in the stream.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from bus_schemas.base import Answer, Count, Id, Message, Model, Positive, Text, Timestamp

MAX_LETTERS: Final = 100
"""How many an answer has at most."""
BEGINNING_BYTES: Final = 256
"""How much of its payload each of several has."""


class DeadLetter(Message):
    """A message that could not be read, set aside where an operator sees it."""

    stream: Id
    subject: Annotated[str, Field(max_length=4096)]
    seq: int | None = None
    reason: Text
    data: str
    """The first 64 KiB of the payload, Base64."""
    size: Count
    """Bytes of the whole payload."""
    at: Timestamp


class DeadLettersQuery(Message):
    """The dead letters that are kept, newest first (`qg.query.dead_letters.any`)."""

    before: Positive | None = None
    """Only those with a smaller number: the next page."""
    limit: Annotated[int, Field(ge=1, le=MAX_LETTERS)] = 50
    number: Positive | None = None
    """This one alone, with all that is kept of its payload."""


class DeadLetterView(Model):
    """A message that could not be read."""

    number: Positive
    at: Timestamp
    """When it was set aside, by the server's clock."""
    stream: Text
    """Where it was read."""
    subject: Annotated[str, Field(max_length=4096)]
    seq: int | None = None
    """Its sequence there, where that is known."""
    reason: Text
    size: Count
    """Bytes of its payload."""
    kept: Count
    """Of these, how many are kept: its beginning."""
    data: str
    """Base64: what is kept of its payload, or of that the first 256 bytes where several are listed."""


class DeadLettersAnswer(Answer):
    """The letters that were asked for."""

    letters: tuple[DeadLetterView, ...] = ()
    total: Count = 0
    """How many there are in all."""
    more: bool = False
    """Whether older ones follow behind these, which may be fewer than asked for."""


class DeadLettersDrop(Message):
    """Drop one, or all that are there by now (`qg.ctl.dead_letters_drop.any`)."""

    number: Positive | None = None
    by: Id


class DeadLettersDropped(Answer):
    """How many are gone."""

    dropped: Count = 0
