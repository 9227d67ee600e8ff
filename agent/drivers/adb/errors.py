"""Errors between the agent and a device: infrastructure errors, none of which says that a test failed."""

from __future__ import annotations

from typing import Final

from agent.errors import JobError

DOUBTFUL: Final = frozenset({"install_timeout", "device_lost", "device_silent"})
"""Reasons of a failed install after which the device is to be looked at."""


class AdbError(JobError):
    """A call to the adb server, or through it to a device, did not work."""

    def __init__(self, message: str, *, reason: str = "adb_failed") -> None:
        super().__init__(message, reason=reason, retryable=True)


class AdbServerError(AdbError):
    """The adb server cannot be reached or started."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="adb_server_gone")


class DeviceGoneError(AdbError):
    """The device is unplugged, offline or unauthorized, or its link broke within a call."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="device_lost")


class DeviceSilentError(AdbError):
    """The device is there, but does not answer in time, or with nonsense."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="device_silent")
