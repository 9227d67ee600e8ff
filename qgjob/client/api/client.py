"""`Client`, in four parts (sending, asking, acting, following); its methods delegate to the other modules."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.client.api.acting import Acting
from qgjob.client.api.asking import Asking
from qgjob.client.api.following import Following
from qgjob.client.api.sending import Sending
from qgjob.clock import Clock, SystemClock


@contextlib.asynccontextmanager
async def open_client(options: ServerOptions, *, clock: Clock | None = None) -> AsyncGenerator[Client]:
    """A connected client for the time of a block.

    Raises `UnreachableError`, `NotAllowedError` or `UsageError`, as `qgjob.bus.connect` does.
    """
    async with open_bus(options) as bus:
        yield Client(bus, clock or SystemClock())


class Client(Sending, Asking, Acting, Following):
    """What can be asked of a qgjob system. Errors are `QgjobError`s whose text is for people."""
