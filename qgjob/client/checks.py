"""Checks ids and test names, for the command line, the gateway and users' own Python."""

from __future__ import annotations

import unicodedata
from typing import Any, TypeVar

from pydantic import ValidationError

from bus_schemas.base import MAX_ID_CHARS, Message, first_problem
from qgjob.errors import UsageError

M = TypeVar("M", bound=Message)


def checked_id(name: str, value: str) -> str:
    """The id itself; raises `UsageError` when it is empty, too long, or has control characters."""
    if not value:
        raise UsageError(f"{name} must not be empty.")
    if len(value) > MAX_ID_CHARS:
        raise UsageError(f"{name} has {len(value)} characters; at most {MAX_ID_CHARS} are allowed.")
    for character in value:
        if unicodedata.category(character) in {"Cc", "Cs"}:
            raise UsageError(f"{name} contains the control character U+{ord(character):04X}.")
    return value


def leads_out(test: str) -> bool:
    """Whether a test's name leads out of its bundle; no agent would run it."""
    return test.startswith("/") or ".." in test.split("/") or "\0" in test


def checked_test(test: str) -> str:
    """The test's name itself; raises `UsageError` when it leads out of the bundle."""
    if leads_out(test):
        raise UsageError(f"The test {test!r} leads out of its bundle: name it by its path in there.")
    return test


def checked_made(what: str, kind: type[M], **fields: Any) -> M:
    """Make a message of a caller's values; raises `UsageError`, naming `what`, when they are not valid."""
    try:
        return kind(**fields)
    except ValidationError as error:
        raise usage_error(what, error) from None


def usage_error(what: str, error: ValidationError) -> UsageError:
    """A model's validation error as a `UsageError` about `what`."""
    return UsageError(f"{what} is not valid: {first_problem(error)}.")
