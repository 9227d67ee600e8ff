"""Requests that change something; the leader answers them."""

from __future__ import annotations

import getpass
import socket

from bus_schemas import subjects
from bus_schemas.base import MAX_ID_CHARS
from bus_schemas.requests import CancelRequest, CtlAnswer
from qgjob.bus.connect import Bus
from qgjob.client.query import ask, checked


async def cancel(bus: Bus, any_id: str, *, reason: str | None = None, by: str | None = None) -> CtlAnswer:
    """Cancel a job, or all jobs of a run that have not ended; raises `NotFoundError`."""
    request = CancelRequest(id=any_id, by=by or whoami(), reason=reason or "cancelled by request")
    answer = await ask(bus, subjects.ctl("cancel"), request, CtlAnswer)
    checked(answer.problem)
    return answer


def whoami() -> str:
    """Who this is to others: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"[:MAX_ID_CHARS]
