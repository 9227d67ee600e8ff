"""The recovery ladder: what to try with a device that does not answer, mildest first. Pure."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class Step(StrEnum):
    """A means of recovery."""

    CONNECT = "connect"
    """Let the adb server connect to a network device that it lost."""
    RECONNECT = "reconnect"
    """Let the adb server close and reopen its link to the device."""
    KILL_SERVER = "kill-server"
    """Start the adb server anew: every device of the host loses its link for a moment."""
    REBOOT = "reboot"


def next_step(
    *,
    state: str | None,
    network: bool,
    tried: Collection[Step],
    may_kill: bool,
    may_reboot: bool,
) -> Step | None:
    """The next thing to try; None when only a person can help, or waiting.

    `state` is what the adb server says of the device, None when it does not know it. `tried` is what was
    done since it was last well. `may_kill`: no other device of the host is at work, and the server was not
    killed lately.
    """
    if state is None:
        return Step.CONNECT if network else None
    if state not in {"device", "offline"}:
        return None  # unauthorized, in a boot loader, …: only a person can help
    if Step.RECONNECT not in tried:
        return Step.RECONNECT
    if may_kill and Step.KILL_SERVER not in tried:
        return Step.KILL_SERVER
    if may_reboot and state == "device" and Step.REBOOT not in tried:
        return Step.REBOOT
    return Step.RECONNECT
