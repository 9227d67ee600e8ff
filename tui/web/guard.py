"""Who may see the pages: this machine's user, or who shows the token; never a page of another site.

Browsers let any page open a WebSocket to any address, so it is the `Origin` of the request that
tells whether it was ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from qgjob.callers import is_for_this_machine, is_foreign, same_secret

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS: Final = {
    # Everything comes from here: the pages work without the internet, and nothing is loaded into them.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; form-action 'self'",
    "Referrer-Policy": "no-referrer",  # the first address has the token in it
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_COOKIE_DAYS: Final = 7


class Guard:
    """Without a token it serves this machine alone."""

    def __init__(self, token: str | None, ask: Callable[[web.Request], web.Response]) -> None:
        self._token = token
        self._ask = ask
        """The page that asks for the token."""

    def cookie(self, request: web.Request) -> str:
        """The name of the cookie: browsers share cookies between the ports of a host."""
        return f"qgjob-{request.url.port}"

    def middleware(self) -> Middleware:
        """What the application calls with each request: lets it through, or answers it."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await self._answer(request, handler)
            if not response.prepared:
                response.headers.update(HEADERS)
            return response

        return guard

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_foreign(request.headers.get("Origin"), request.host):
            return _refuse("Pages of other sites may not ask this dashboard.")
        if self._token is None:
            if not is_for_this_machine(request.host):
                return _refuse(f"This dashboard answers to localhost, not to {request.host!r}.")
            return await handler(request)
        shown = request.query.get("token")
        if shown is not None and same_secret(shown, self._token):
            return self._come_in(request, self._token)
        if same_secret(request.cookies.get(self.cookie(request), ""), self._token):
            return await handler(request)
        return self._ask(request)

    def _come_in(self, request: web.Request, token: str) -> web.Response:
        """Keep the token as a cookie of this site alone, and out of the address."""
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            self.cookie(request),
            token,
            max_age=_COOKIE_DAYS * 86_400,
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
        return response


def _refuse(sentence: str) -> web.Response:
    return web.Response(status=403, text=sentence + "\n")
