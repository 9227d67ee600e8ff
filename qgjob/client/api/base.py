"""The base of the four parts of `Client`: a connection and a clock."""

from __future__ import annotations

from collections.abc import Callable

from qgjob.bus.connect import Bus
from qgjob.clock import Clock


class ClientBase:
    """A connection to the server, and whether it is up."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self.bus = bus
        self.clock = clock

    @property
    def connected(self) -> bool:
        """Whether the connection is up now; it comes back by itself."""
        return self.bus.connected

    def on_connection(self, callback: Callable[[bool], None]) -> Callable[[], None]:
        """Call back with True after a reconnect, False after a loss; returns a function that stops that."""

        def up() -> None:
            callback(True)

        def down() -> None:
            callback(False)

        self.bus.on_reconnect.append(up)
        self.bus.on_disconnect.append(down)

        def undo() -> None:
            self.bus.on_reconnect.remove(up)
            self.bus.on_disconnect.remove(down)

        return undo
