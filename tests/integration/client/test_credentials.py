"""Credentials files, as an operator hands them out: they let in, they expire, they may be damaged."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qgjob.bus.connect import ServerOptions, connect, open_bus
from qgjob.bus.topology import ensure_topology
from qgjob.errors import NotAllowedError, UsageError
from tests.support.operator import OperatedServer
from tests.support.wait import wait_for

pytestmark = pytest.mark.integration


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
    operated: OperatedServer, tmp_path: Path
) -> None:
    file = operated.credentials(tmp_path / "agent.creds", expires=time.time() + 2)
    options = ServerOptions(operated.url, creds=str(file), wait_for_server=True)
    async with open_bus(options) as bus:
        await wait_for(lambda: not bus.connected, 20, "the credentials to expire")
        operated.credentials(file)
        await wait_for(lambda: bus.connected, 20, "the connection")
        assert await bus.requests.api("INFO")


@pytest.mark.parametrize("text", ["", "no credentials", "-----BEGIN NATS USER JWT-----\nx\n"])
async def test_a_file_that_holds_no_credentials_is_said(text: str, tmp_path: Path) -> None:
    (tmp_path / "ci.creds").write_text(text)
    with pytest.raises(UsageError, match=r"ci\.creds"):
        await connect(ServerOptions(creds=str(tmp_path / "ci.creds")))
