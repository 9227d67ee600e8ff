"""Refuses requests of addresses that ask too often, before anything of them is read."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from qgjob.gateway.gates import Gate, TooOftenError
from qgjob.gateway.problems import too_often

_V6_NETWORK: Final = 64


@dataclass(frozen=True, slots=True)
class Throttle:
    """Stands behind the guard: who may not come in uses up nobody's share."""

    app: ASGIApp
    gate: Gate
    free: Collection[str]
    """Paths that are never refused: whoever watches the gateway must see that it is busy, not gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "http" and scope["path"] not in self.free:
            try:
                self.gate.admit(caller_of(scope))
            except TooOftenError as error:
                await too_often(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def caller_of(scope: Scope) -> str:
    """Whom a request counts for: its address, of IPv6 the network: one machine has all of that."""
    try:
        address = ipaddress.ip_address(str((scope.get("client") or ("", 0))[0]).partition("%")[0])
    except ValueError:
        return "unknown"  # a proxy may say anything, of any length
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _V6_NETWORK), strict=False))
