"""Errors between a job's arrival on a machine and its verdict.

All are infrastructure errors: none of these says that the test failed.
"""

from __future__ import annotations

from typing import ClassVar

from qgjob.errors import ExitCode, QgjobError


class JobError(QgjobError):
    """The lab could not carry a job out; its text is the sentence the user reads.

    `reason` is a short stable code for events and counting (`launch_failed`, `bundle_corrupt`, …).
    `retryable` tells whether another slot or another try could do better.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.INFRASTRUCTURE

    def __init__(self, message: str, *, reason: str, retryable: bool, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.retryable = retryable


class LaunchError(JobError):
    """The program of a job could not be started (not found, not executable, no such folder)."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message, reason="launch_failed", retryable=retryable)


class RunnerError(JobError):
    """A runner cannot work with what it was given, or with what this machine has."""


class SupervisorLostError(JobError):
    """The process that watches a slot's jobs died; what it watched has been ended."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="supervisor_lost", retryable=True)


class ArchiveError(JobError):
    """An archive is corrupt, too large, or tries to reach outside the folder it is unpacked into."""

    def __init__(self, message: str, *, reason: str = "archive_corrupt") -> None:
        super().__init__(message, reason=reason, retryable=False)


class FetchError(JobError):
    """A blob (bundle or build) could not be brought to this machine, or came with other bytes."""

    def __init__(self, message: str, *, reason: str = "fetch_failed", retryable: bool = True) -> None:
        super().__init__(message, reason=reason, retryable=retryable)
