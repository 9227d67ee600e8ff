"""The bus: NATS JetStream as qgjob uses it."""

from __future__ import annotations

import sys
from importlib import import_module

if "aiohttp" not in sys.modules:
    # nats-py imports aiohttp wherever it is installed, for addresses of WebSockets: a tenth of a second
    # for every command. Who connects to such an address gets it then (`qgjob.bus.connect`).
    sys.modules["aiohttp"] = None  # type: ignore[assignment]
    try:
        import_module("nats.aio.transport")
    finally:
        del sys.modules["aiohttp"]

from nats.errors import Error as NatsError

__all__ = ["NatsError"]
