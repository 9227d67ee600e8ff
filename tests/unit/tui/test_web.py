"""The dashboard in a browser: who is let in, and what its options mean."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar, WSServerHandshakeError, web
from textual_serve.app_service import AppService

from qgjob.errors import UsageError
from tui.web.options import DEFAULT_PORT, WebOptions, web_options
from tui.web.server import MAX_SESSIONS, WebServer

TOKEN = "a-token-of-some-length"


@pytest.fixture(autouse=True)
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages open no dashboards here: it is about who may open one."""

    async def start(self: AppService, width: int, height: int) -> None:
        pass

    monkeypatch.setattr(AppService, "start", start)


@contextlib.asynccontextmanager
async def served(token: str | None = None) -> AsyncGenerator[tuple[WebServer, ClientSession, int]]:
    server = WebServer(WebOptions(token=token), "qgjob")
    runner = web.AppRunner(await server.make_app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with ClientSession(f"http://127.0.0.1:{port}", cookie_jar=CookieJar(unsafe=True)) as session:
            yield server, session, port
    finally:
        await runner.cleanup()


async def test_the_page_is_all_our_own_and_may_not_be_framed() -> None:
    async with served() as (_, session, _), session.get("/") as answer:
        assert answer.status == 200
        assert "http" not in (await answer.text())  # neither fonts nor scripts of others
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", ["/page/page.js", "/page/page.css", "/static/js/textual.js"])
async def test_its_parts_are_there(path: str) -> None:
    async with served() as (_, session, _), session.get(path) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
@pytest.mark.parametrize("path", ["/", "/ws", "/page/page.js"])
async def test_a_foreign_page_or_a_rebound_name_sees_nothing(headers: dict[str, str], path: str) -> None:
    async with served() as (_, session, _), session.get(path, headers=headers) as answer:
        assert answer.status == 403


async def test_a_web_socket_of_the_page_itself_is_served() -> None:
    async with served() as (_, session, port):
        origin = {"Origin": f"http://127.0.0.1:{port}"}
        async with session.ws_connect("/ws", headers=origin):
            pass
        with pytest.raises(WSServerHandshakeError, match="403"):
            await session.ws_connect("/ws", headers={"Origin": "http://evil.example"})


async def test_with_a_token_only_who_shows_it_comes_in() -> None:
    async with served(TOKEN) as (_, session, _):
        async with session.get("/") as answer:
            assert answer.status == 401
            assert "The token of this dashboard" in await answer.text()
        with pytest.raises(WSServerHandshakeError, match="401"):
            await session.ws_connect("/ws")
        async with session.get("/", params={"token": "a-guess-of-some-length"}) as answer:
            assert answer.status == 401
            assert "That is not the token." in await answer.text()
        async with session.get("/", params={"token": TOKEN}, allow_redirects=False) as answer:
            assert answer.status == 303
            assert answer.headers["Location"] == "/"  # the token stays in no history
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
        async with session.get("/") as answer:
            assert answer.status == 200
        async with session.ws_connect("/ws"):
            pass


async def test_with_a_token_other_names_are_served_too() -> None:
    async with (
        served(TOKEN) as (_, session, _),
        session.get(
            "/", params={"token": TOKEN}, headers={"Host": "lab.example"}, allow_redirects=False
        ) as a,
    ):
        assert a.status == 303


async def test_too_many_dashboards_are_refused_in_a_sentence() -> None:
    async with served() as (server, session, _):
        vars(server)["_sessions"] = MAX_SESSIONS
        async with session.get("/") as answer:
            assert answer.status == 503
            assert await answer.text() == f"{MAX_SESSIONS} dashboards are open already; close one."


@pytest.mark.parametrize(("asked", "shown"), [("20", "20"), ("0", "16"), ("00209999", "16"), ("x<", "16")])
async def test_the_size_of_the_letters(asked: str, shown: str) -> None:
    async with served() as (_, session, _), session.get("/", params={"fontsize": asked}) as answer:
        assert f'data-font-size="{shown}"' in await answer.text()


def options(**given: object) -> WebOptions:
    return web_options(**{"listen": None, "port": None, "token_file": None, "allow_actions": False, **given})  # type: ignore[arg-type]


def test_it_is_for_this_machine_and_read_only_unless_asked_otherwise() -> None:
    assert options() == WebOptions(host="127.0.0.1", port=DEFAULT_PORT, token=None, allow_actions=False)
    assert options(port=0).port == 0


def test_other_machines_need_a_token(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without a token would show the lab to everybody"):
        options(listen="0.0.0.0")
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    found = options(listen="0.0.0.0:8080", token_file=file)
    assert (found.host, found.port, found.token) == ("0.0.0.0", 8080, TOKEN)
    assert options(listen="localhost").token is None


def test_two_ports_are_one_too_many() -> None:
    with pytest.raises(UsageError, match="port 1234 and --port says 1235"):
        options(listen="localhost:1234", port=1235)
