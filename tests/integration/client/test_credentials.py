"""Credentials files, as an operator hands them out: they let in, they expire, they may be damaged."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nkeys  # pyright: ignore[reportMissingTypeStubs]
import pytest

from qgjob.bus.connect import ServerOptions, connect, open_bus
from qgjob.bus.topology import ensure_topology
from qgjob.connecting import server_options
from qgjob.errors import NotAllowedError, UsageError
from tests.support.operator import Key, OperatedServer
from tests.support.servers import NatsServer
from tests.support.wait import wait_for


@pytest.fixture
async def operated(tmp_path: Path) -> AsyncIterator[OperatedServer]:
    server = OperatedServer(tmp_path / "nats")
    await server.start()
    yield server
    server.kill()


async def test_a_file_of_credentials_lets_in(operated: OperatedServer, tmp_path: Path) -> None:
    creds = str(operated.credentials(tmp_path / "ci.creds"))
    async with open_bus(ServerOptions(operated.url, creds=creds)) as bus:
        await ensure_topology(bus)
    with pytest.raises(NotAllowedError):
        await connect(ServerOptions(operated.url))
    other = OperatedServer(tmp_path / "other").credentials(tmp_path / "other.creds")
    with pytest.raises(NotAllowedError):
        await connect(ServerOptions(operated.url, creds=str(other)))


async def test_a_service_whose_credentials_expire_takes_those_that_renew_them(
    operated: OperatedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = operated.credentials(
        tmp_path / "agent.creds", expires=math.ceil(time.time()) + 2
    )  # in whole seconds
    options = ServerOptions(operated.url, creds=str(file), wait_for_server=True)
    async with open_bus(options) as bus:
        await wait_for(lambda: not bus.connected, 20, "the credentials to expire")
        file.write_bytes(file.read_bytes()[:80])
        await wait_for(lambda: "What was read before" in caplog.text, 20, "a file that is half written")
        operated.credentials(file)
        await wait_for(lambda: bus.connected, 20, "the connection")
        assert await bus.requests.api("INFO")


@pytest.mark.parametrize("text", ["", "no credentials", "-----BEGIN NATS USER JWT-----\nx\n"])
async def test_a_file_that_holds_no_credentials_is_said(text: str, tmp_path: Path) -> None:
    (tmp_path / "ci.creds").write_text(text)
    with pytest.raises(UsageError, match=r"ci\.creds"):
        await connect(ServerOptions(creds=str(tmp_path / "ci.creds")))


async def test_the_seed_of_an_nkey_lets_in_and_may_be_renewed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    former, later = Key(nkeys.PREFIX_BYTE_USER), Key(nkeys.PREFIX_BYTE_USER)
    config, file = tmp_path / "nats.conf", tmp_path / "agent.nk"

    def let_in(key: Key) -> None:
        config.write_text(f"jetstream {{}}\nauthorization {{ users: [ {{ nkey: {key.public} }} ] }}\n")

    let_in(former)
    file.write_bytes(later.seed)
    server = TokenServer(tmp_path / "nats", config=config)
    try:
        await server.start()
        options = ServerOptions(server.url, creds=str(file), wait_for_server=True)
        with pytest.raises(NotAllowedError):
            await connect(options)
        file.write_bytes(former.seed + b"\n")
        async with open_bus(options) as bus:
            let_in(later)
            await server.restart()
            await wait_for(lambda: not bus.connected, 20, "the former key to be refused")
            caplog.clear()
            file.write_bytes(later.seed[:20])
            await wait_for(lambda: "What was read before" in caplog.text, 20, "a file that is half written")
            file.write_bytes(later.seed)
            await wait_for(lambda: bus.connected, 20, "the connection")
            assert await bus.requests.api("INFO")
    finally:
        server.kill()


def with_token(folder: Path, token: str) -> Path:
    config = folder / "nats.conf"
    config.write_text(f'jetstream {{}}\nauthorization {{ token: "{token}" }}\n')
    return config


class TokenServer(NatsServer):
    async def _ready(self) -> bool:
        return "Server is ready" in self.log  # the usual probe has no token


async def test_a_service_whose_token_is_changed_reads_the_new_one(tmp_path: Path) -> None:
    file, old, new = tmp_path / "qgjob.token", "o" * 32, "n" * 32
    file.touch(mode=0o600)
    file.write_text(old)
    server = TokenServer(tmp_path / "nats", config=with_token(tmp_path, old))
    try:
        await server.start()
        told = {"server": server.url}
        options = server_options(told, {}, name="agent", token=str(file), wait_for_server=True)
        async with open_bus(options) as bus:
            with_token(tmp_path, new)
            await server.restart()
            await wait_for(lambda: not bus.connected, 20, "the old token to be refused")
            file.write_text("short")  # half written: what was read before is tried
            file.write_text(new)
            await wait_for(lambda: bus.connected, 20, "the new token")
            assert await bus.requests.api("INFO")
    finally:
        server.kill()
