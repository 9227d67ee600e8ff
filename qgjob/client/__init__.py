"""The one API of qgjob, for the command line, the dashboard, the gateway and users' own Python.

async with open_client(ServerOptions("nats://lab:4222")) as client:
    submitted = await client.submit(SubmitRequest(org_id="acme", app_version_id="1.0", tests=["t.py"]))
    waited = await client.wait(submitted.run_id, known=submitted)
"""

from __future__ import annotations

from qgjob.bus.connect import ServerOptions
from qgjob.client.client import Client, open_client
from qgjob.client.fold import apply_event
from qgjob.client.labfeed import LabFeed
from qgjob.client.live import Live
from qgjob.client.models import (
    LiveEvent,
    Resync,
    SubmitRequest,
    Submitted,
    TransferProgress,
    Waited,
    WaitOptions,
)
from qgjob.client.watch import Watch
from qgjob.domain.verdict import VerdictRules

__all__ = [
    "Client",
    "LabFeed",
    "Live",
    "LiveEvent",
    "Resync",
    "ServerOptions",
    "SubmitRequest",
    "Submitted",
    "TransferProgress",
    "VerdictRules",
    "WaitOptions",
    "Waited",
    "Watch",
    "apply_event",
    "open_client",
]
