"""The window of a file transfer: as many bytes in flight as the link carries in about a second. Pure.

More would not make it faster, and on a slow link everything else on the connection (leases, heartbeats, the
server's pings) would wait behind it until it looked dead.
"""

from __future__ import annotations

from typing import Final

AHEAD_S: Final = 1.0


class TransferWindow:
    """`window` is how many bytes to keep in flight; it starts small and follows the measured throughput."""

    def __init__(self, low: int, high: int) -> None:
        self._low = low
        self._high = high
        self.window = low

    def on_transferred(self, size: int, seconds: float) -> None:
        """Report a measurement: bytes, and seconds from request to arrival."""
        carried = size / seconds * AHEAD_S if seconds > 0 else self._high
        self.window = int(max(self._low, min(self._high, carried)))

    def on_stalled(self) -> None:
        """Report that nothing arrived in time."""
        self.window = self._low
