"""The one API of qgjob, for the command line, the dashboard, the gateway and users' own Python.

Asynchronous and typed; scripts that are neither use `qgjob.connect`. Errors are
`qgjob.errors.QgjobError`s, whose text is for people.

>>> import asyncio, os
>>> from qgjob.client import ServerOptions, SubmitRequest, open_client
>>> from qgjob.config import resolve_server
>>> async def main() -> str:
...     async with open_client(ServerOptions(resolve_server(None, os.environ))) as client:
...         request = SubmitRequest(
...             org_id="acme", app_version_id="1.4.0", tests=["tests/*.py"], argv=["python3", "{test}"]
...         )
...         submitted = await client.submit_tests(request)
...         waited = await client.wait(submitted.run_id, known=submitted)
...         return waited.verdict.name
>>> asyncio.run(main())
'OK'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgjob.client.api.lazy_module import LazyModule

if TYPE_CHECKING:
    from qgjob.client.api.client import Client, open_client
    from qgjob.client.models import (
        LiveEvent,
        Resync,
        SubmitRequest,
        Submitted,
        TransferProgress,
        Waited,
        WaitOptions,
    )
    from qgjob.client.watching.fold import apply_event
    from qgjob.client.watching.labfeed import LabFeed
    from qgjob.client.watching.live import Live
    from qgjob.client.watching.watch import Watch
    from qgjob.config import ServerOptions
    from qgjob.domain.verdict import VerdictRules

_MODULES = {
    "Client": "qgjob.client.api.client",
    "LabFeed": "qgjob.client.watching.labfeed",
    "Live": "qgjob.client.watching.live",
    "LiveEvent": "qgjob.client.models",
    "Resync": "qgjob.client.models",
    "ServerOptions": "qgjob.config",
    "SubmitRequest": "qgjob.client.models",
    "Submitted": "qgjob.client.models",
    "TransferProgress": "qgjob.client.models",
    "VerdictRules": "qgjob.domain.verdict",
    "WaitOptions": "qgjob.client.models",
    "Waited": "qgjob.client.models",
    "Watch": "qgjob.client.watching.watch",
    "apply_event": "qgjob.client.watching.fold",
    "open_client": "qgjob.client.api.client",
}
"""Where each name is: imported when it is asked for, so that no command pays for what others use."""

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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(LazyModule(_MODULES[name]), name)
    globals()[name] = found
    return found
