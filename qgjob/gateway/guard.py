"""Authorises requests: by token if there is one, never of a page in a browser; see `qgjob.callers`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qgjob.callers import is_for_this_machine, is_foreign, same_secret
from qgjob.domain.wording import show_size
from qgjob.gateway.problems import problem
from qgjob.gateway.tempo import in_time

_OPEN: Final = frozenset({"/api/health"})
"""Asked by load balancers, which have no token; says only whether all is well."""
_LARGE: Final = frozenset({"/api/bundles"})
"""Reads its body bit by bit and has a limit of its own."""
_MAX_BODY_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Guard:
    """ASGI middleware that refuses unauthorised requests before any route sees them."""

    app: ASGIApp
    token: str | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if refused := self._refused(scope["path"], headers):
            status, text = refused
            challenge = {"WWW-Authenticate": 'Bearer realm="qgjob"'} if status == 401 else None
            await problem(status, text, headers=challenge)(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # the server leaves the body out by itself
            scope = {**scope, "method": "GET"}
        receive = in_time(receive)
        await self.app(scope, receive if scope["path"] in _LARGE else _limited(receive), send)

    def _refused(self, path: str, headers: Headers) -> tuple[int, str] | None:
        origin = headers.get("origin")
        host = headers.get("host", "")
        if is_foreign(origin, host):
            return 403, "Pages of other sites may not ask this gateway."
        if self.token is None:
            if not is_for_this_machine(host):
                return 403, f"This gateway answers to localhost, not to {host!r}."
            return None
        if path in _OPEN:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and same_secret(given.strip(), self.token):
            return None
        return 401, "A token is needed: send it as `Authorization: Bearer TOKEN`."


def _limited(receive: Receive) -> Receive:
    """Give up on a body that would fill the memory."""
    size = 0

    async def counting() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > _MAX_BODY_BYTES:
            raise HTTPException(413, f"The body of a request has at most {show_size(_MAX_BODY_BYTES)}.")
        return message

    return counting
