"""Serves the dashboard's pages: each opens a dashboard of its own, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import aiohttp_jinja2
from aiohttp import web
from textual_serve.server import Server

from qgjob.callers import listening_at
from qgjob.config import ServerOptions
from tui.web.guard import Guard
from tui.web.options import WebOptions
from tui.web.session import OPTIONS_VARIABLE, READ_ONLY_VARIABLE

PAGE: Final = Path(__file__).parent / "page"
MAX_SESSIONS: Final = 8
"""Each is a process that holds the whole lab in memory."""
_FONT_SIZES: Final = range(8, 41)
_LAST_WORDS_S: Final = 3.0


class WebServer(Server):
    """textual-serve with our page, our guard, and an end when it is told to."""

    def __init__(self, options: WebOptions, title: str) -> None:
        command = shlex.join([sys.executable, "-m", "tui.web.session"])
        super().__init__(command, options.host, options.port, title, templates_path=PAGE)
        self._guard = Guard(options.token, self._ask_for_token)
        self._sessions = 0
        self._stopping = asyncio.Event()

    async def make_app(self) -> web.Application:
        """The routes of textual-serve behind the guard, and the parts of our page."""
        app = await self._make_app()
        app.middlewares.append(self._guard.middleware())
        app.router.add_static("/page", PAGE)
        return app

    async def stop(self) -> None:
        """Close all dashboards."""
        self._stopping.set()

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: where it listens is said by whoever started it."""

    async def handle_index(self, request: web.Request) -> Any:
        """The page; `?fontsize=` makes it larger or smaller."""
        self._refuse_too_many()
        size = request.query.get("fontsize", "")
        wanted = int(size) if size.isdecimal() and len(size) <= 2 and int(size) in _FONT_SIZES else 16
        context = {"font_size": wanted, "application": {"name": self.title}}
        return aiohttp_jinja2.render_template("app_index.html", request, context)

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """A dashboard, until its page is closed or all have to end."""
        self._refuse_too_many()
        self._sessions += 1
        serving = asyncio.create_task(super().handle_websocket(request))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                serving.cancel()
            return await serving
        finally:
            stopping.cancel()
            serving.cancel()
            self._sessions -= 1

    def _refuse_too_many(self) -> None:
        if self._sessions >= MAX_SESSIONS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_SESSIONS} dashboards are open already; close one.")

    def _ask_for_token(self, request: web.Request) -> web.Response:
        context = {
            "application": {"name": self.title},
            "style": (PAGE / "page.css").read_text(encoding="utf-8"),
            "wrong": "token" in request.query,
        }
        return aiohttp_jinja2.render_template("token.html", request, context, status=401)


async def run_web(
    server: ServerOptions, options: WebOptions, *, stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Serve until `stop` is set; `ready` is set when it listens.

    Raises `RefusedError` when the port is taken.
    """
    listening = listening_at(options.host, options.port, "The dashboard")
    # By the environment, which unlike arguments is not for everybody to see: there may be a token in it.
    os.environ[OPTIONS_VARIABLE] = json.dumps(asdict(server))
    os.environ[READ_ONLY_VARIABLE] = "" if options.allow_actions else "1"
    pages = WebServer(options, "qgjob")
    runner = web.AppRunner(await pages.make_app(), access_log=None, shutdown_timeout=_LAST_WORDS_S)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        print(_said(options, listening.getsockname()[1]), flush=True)  # noqa: T201  (for people)
        ready.set()
        await stop.wait()
    finally:
        await pages.stop()
        await runner.cleanup()


def _said(options: WebOptions, port: int) -> str:
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{host}:{port}/"
    may = "Whoever opens it may change things." if options.allow_actions else "It is read-only."
    token = " It asks for the token; ?token=… in the address will do." if options.token else ""
    return f"The dashboard is at {address}\n{may}{token} Ctrl+C ends it."
