"""One tree of errors: each carries the sentence the user reads, and its exit code.

The codes are the contract of the command line: scripts and CI branch on them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The exit codes of a `qgjob` process."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NO_TESTS = 3
    NOT_ALLOWED = 4
    UNREACHABLE = 5
    NOT_FOUND = 6
    REFUSED = 7
    FAILED = 10
    WAIT_TIMEOUT = 16
    NO_SLOT = 18
    CANCELLED = 19
    INFRASTRUCTURE = 20
    DETACHED = 130


class QgjobError(Exception):
    """An error of ours whose text is the sentence a person reads.

    `hint` says what to do next; it is printed on a line of its own.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.ERROR

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(QgjobError):
    """An option or a value is wrong."""

    exit_code = ExitCode.USAGE


class NoTestsError(QgjobError):
    """No test matches what was asked for."""

    exit_code = ExitCode.NO_TESTS


class NotAllowedError(QgjobError):
    """The server refused our credentials, or a subject."""

    exit_code = ExitCode.NOT_ALLOWED


class UnreachableError(QgjobError):
    """No server answers at the address, or it lacks what we need (JetStream, a version)."""

    exit_code = ExitCode.UNREACHABLE


class NotFoundError(QgjobError):
    """No such job, run, agent or build."""

    exit_code = ExitCode.NOT_FOUND


class UnknownIdError(NotFoundError):
    """No job and no run has this id."""

    def __init__(self, any_id: str) -> None:
        super().__init__(f"There is no job or run {any_id}.", hint="`qgjob list` shows the latest jobs.")


class RefusedError(QgjobError):
    """Refused for a quota, a rate or a size limit, or because it contradicts what is stored."""

    exit_code = ExitCode.REFUSED


class BadMessageError(QgjobError):
    """A message off the bus that cannot be read."""


class NewerMessageError(BadMessageError):
    """A message of a later schema than ours: nothing is wrong with it, but we are too old to read it."""
