"""`Client`, in four parts (sending, asking, acting, following); its methods delegate to the other modules."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.client.api.control import ControlMethods
from qgjob.client.api.queries import QueryMethods
from qgjob.client.api.submissions import SubmitMethods
from qgjob.client.api.watches import WatchMethods
from qgjob.clock import Clock, SystemClock


@contextlib.asynccontextmanager
async def open_client(options: ServerOptions, *, clock: Clock | None = None) -> AsyncGenerator[Client]:
    """A connected client for the time of a block.

    Raises `UnreachableError`, `NotAllowedError` or `UsageError`, as `qgjob.bus.connect` does.
    """
    async with open_bus(options) as bus:
        yield Client(bus, clock or SystemClock())


class Client(SubmitMethods, QueryMethods, ControlMethods, WatchMethods):
    """What can be asked of a qgjob system. Errors are `QgjobError`s whose text is for people."""
