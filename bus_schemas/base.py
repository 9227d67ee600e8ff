"""What all messages share: a schema version, strict writing, tolerant reading."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from qgjob.errors import BadMessageError, NewerMessageError

SCHEMA_VERSION = 1
"""Raised only when an older release would misread what we write; fields that may be ignored do not count."""
OLDEST_SCHEMA = 1
"""Of agents that a scheduler of this release works with."""
MAX_ID_CHARS = 256

Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS)]
"""A name given by a user or made by us: 1 to 256 characters."""

SlotName = Annotated[str, StringConstraints(min_length=1, max_length=2 * MAX_ID_CHARS + 1)]
"""`agent/slot`; where it says so, an agent, which stands for all of its slots."""

MAX_LABEL_CHARS = 64
LABEL_PATTERN = r"[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9._:/-]*)?"
"""The whole of a label: lower case, and behind a colon any case, as serial numbers have it."""
LABEL_RULE = (
    "A label has up to 64 lower-case letters, digits and . _ : / -, and behind a colon capitals too, "
    "such as android-14 or serial:R58M; `any` is none."
)

ANY: Final = "any"
"""Stands for no label at all where a set of labels is named, so no label may be called that."""


def _not_any(text: str) -> str:
    if text == ANY:
        raise ValueError("'any' is no label: it stands for none being required")
    return text


Label = Annotated[
    str,
    StringConstraints(pattern=f"^{LABEL_PATTERN}$", max_length=MAX_LABEL_CHARS),
    AfterValidator(_not_any),
]
"""What a slot is or a job needs: `emulator`, `android-14`, `serial:R58M`."""

Text = Annotated[str, StringConstraints(max_length=4000)]
"""A sentence for people."""

END_OF_TIMES = 253_402_300_800
"""The year 10000 in seconds since 1970: calendars end before it."""
Timestamp = Annotated[float, Field(ge=0, lt=END_OF_TIMES, allow_inf_nan=False)]
"""Seconds since 1970, UTC, before the year 10000: a number that every calendar can show."""


Seconds = Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False)]
"""How long something took: thirty years at most, so that sums of it stay times that a calendar can show."""

MAX_COUNT: Final = 2**53
"""The largest whole number that all readers of JSON read the same, and that a store can count to."""
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
"""How many of something there are."""
Positive = Annotated[int, Field(ge=1, le=MAX_COUNT)]
"""The same of what there is at least one of."""
AttemptNumber = Annotated[int, Field(ge=1, le=1_000_000)]
"""Which try of a job it is, from 1: part of subjects, whose length the server bounds."""


class Model(BaseModel):
    """A part of a message. Unknown fields are refused in writing and tolerated in reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null", defer_build=True)


class Message(Model):
    """A whole message on the bus."""

    SUPPORTED: ClassVar[int] = SCHEMA_VERSION

    v: int = Field(default=SCHEMA_VERSION, ge=1)

    def encode(self) -> bytes:
        """The message as JSON; fields without a value are left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)

    @classmethod
    def decode(cls, data: bytes | bytearray | str) -> Self:
        """Read a message; unknown fields are ignored. Raises `BadMessageError` with what is wrong."""
        try:
            message = cls.model_validate_json(data, extra="ignore")
        except ValidationError as error:
            raise BadMessageError(f"not a {cls.__name__}: {first_problem(error)}") from None
        if message.v > cls.SUPPORTED:
            raise NewerMessageError(
                f"a {cls.__name__} of schema version {message.v} was written by a newer qgjob "
                f"(this one reads up to {cls.SUPPORTED})",
                hint="Upgrade this qgjob.",
            )
        return message


ErrorCode = Literal["not_found", "bad_request", "refused", "not_leader", "unavailable"]


class Problem(Model):
    """Why a request was not carried out."""

    code: ErrorCode
    message: Text
    hint: Text | None = None


class Answer(Message):
    """An answer to a request; with a `problem`, the request was not carried out."""

    problem: Problem | None = None


class Greeting(Message):
    """A message that is read whatever its version: agents and schedulers learn each other's release by it.

    So that either can say that the other is too old, these only ever gain fields, and all of them optional.
    """

    SUPPORTED: ClassVar[int] = 2**31


def is_label(text: str) -> bool:
    """Whether `text` is a `Label`, to check user input before it is put into a message."""
    return len(text) <= MAX_LABEL_CHARS and text != ANY and re.fullmatch(LABEL_PATTERN, text) is not None


def first_problem(error: ValidationError) -> str:
    """The first thing a validation found wrong, in one line."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    text = problem["msg"]
    more = error.error_count() - 1
    return (f"{where}: {text}" if where else text) + (f" (and {more} more)" if more else "")
