"""A client beside a whole system, for tests of what operators ask for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from qgjob.bus.connect import Bus
from qgjob.client import Client
from qgjob.clock import SystemClock
from qgjob.local.system import LocalSystem
from tests.support.pipeline import Witness, system


@contextlib.asynccontextmanager
async def lab(folder: Path, **options: Any) -> AsyncGenerator[tuple[LocalSystem, Bus, Client, Witness]]:
    """A system with one slot unless told otherwise, a client of it, and a witness of all events."""
    given: dict[str, Any] = {"slots": 1, "agents": 1, **options}
    async with system(folder, **given) as (running, bus), Witness().watching(bus) as witness:
        yield running, bus, Client(bus, SystemClock()), witness
