"""No socket, task or subscription outlives a connection, wherever it ends on its way."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Callable

import pytest
from nats.aio.client import Client as NatsClient

from qgjob.bus.connect import Bus, ServerOptions, connect, open_bus
from qgjob.bus.connection import Connection
from qgjob.bus.requester import RequestTimeoutError
from qgjob.errors import QgjobError
from tests.support.peer import Peer
from tests.support.proxy import Proxy
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

PEERS: dict[str, Callable[[], Peer]] = {
    "hangs up": lambda: Peer(greets=False, hangs_up=True),
    "is silent": lambda: Peer(greets=False),
    "hangs up after its INFO": lambda: Peer(hangs_up=True),
    "is silent after its INFO": Peer,
    "refuses": lambda: Peer(refuses=True, hangs_up=True),
}
LATER: dict[str, Callable[[], Peer]] = {
    "hangs up once we are connected": lambda: Peer(pongs=1, hangs_up=True),
    "is silent once we are connected": lambda: Peer(pongs=1),
}


@contextlib.asynccontextmanager
async def nothing_left(peer: Peer) -> AsyncGenerator[None]:
    """Whatever a block connects to a peer ends with it."""
    before = asyncio.all_tasks()
    yield
    await wait_for(lambda: not peer.open, 2, "the end of all connections")
    await wait_for(lambda: asyncio.all_tasks() <= before, 2, "the end of all tasks")


@pytest.mark.parametrize("what", PEERS)
async def test_a_connection_that_does_not_come_about_is_closed(what: str) -> None:
    async with PEERS[what]() as peer, nothing_left(peer):
        with pytest.raises(QgjobError):
            await connect(ServerOptions(peer.url, connect_timeout_s=0.1))
        assert peer.came


@pytest.mark.parametrize("what", PEERS | LATER)
async def test_each_attempt_to_reconnect_closes_the_one_before(
    what: str, shared_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qgjob.bus.connect._RECONNECT_WAIT_S", 0.01)
    monkeypatch.setattr(Connection, "flush", functools.partialmethod(NatsClient.flush, timeout=0.1))
    async with Proxy(shared_nats.port) as proxy, (PEERS | LATER)[what]() as peer, nothing_left(peer):
        options = ServerOptions(proxy.url, wait_for_server=True, connect_timeout_s=0.1)
        async with open_bus(options) as bus:
            proxy.to = peer.port
            proxy.cut()
            await wait_for(lambda: len(peer.came) > 5, 10, "several attempts")
            await wait_for(lambda: peer.open <= 1, 2, "the end of those before the last")
            proxy.to = shared_nats.port
            proxy.cut()
            await wait_for(lambda: answers(bus), 10, "the connection")


async def test_who_gives_up_connecting_at_whatever_step_leaves_nothing() -> None:
    async with Peer(pongs=10) as peer:
        for steps in range(60):
            async with nothing_left(peer):
                connecting = asyncio.create_task(connect(ServerOptions(peer.url, wait_for_server=True)))
                await take(steps)
                connecting.cancel()
                await asyncio.wait([connecting])
                if not connecting.cancelled():
                    await connecting.result().close()


async def test_a_close_at_whatever_step_of_a_reconnect_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qgjob.bus.connect._RECONNECT_WAIT_S", 0.01)
    async with Peer(pongs=10) as peer:
        for steps in range(60):
            async with nothing_left(peer):
                bus = await connect(ServerOptions(peer.url, wait_for_server=True))
                await asyncio.sleep(0.02)
                await bus.nc.force_reconnect()
                await take(steps)
                await bus.nc.publish("x", b"unsent")
                await bus.close()


@contextlib.asynccontextmanager
async def stuck(nats: NatsServer) -> AsyncGenerator[Bus]:
    """A connection on which more was sent than anybody takes; the next one would lead to a server."""
    async with Proxy(nats.port) as proxy, Peer(pongs=1, reads=False) as peer:
        proxy.to = peer.port
        async with open_bus(ServerOptions(proxy.url, wait_for_server=True)) as bus:
            for _ in range(30):
                await bus.nc.publish("x", b"0" * 1_000_000)
            proxy.to = nats.port
            async with asyncio.timeout(10):
                yield bus


async def test_a_reconnect_does_not_wait_until_what_was_sent_is_taken(
    shared_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qgjob.bus.connect._PING_INTERVAL_S", 0.05)
    async with stuck(shared_nats) as bus:
        await wait_for(lambda: bus.reconnects and answers(bus), 5, "the next connection")


async def test_a_close_does_not_wait_until_what_was_sent_is_taken(shared_nats: NatsServer) -> None:
    async with stuck(shared_nats) as bus:
        await bus.close()


async def answers(bus: Bus) -> bool:
    """Whether a server answers that has JetStream."""
    try:
        return bool(await bus.requests.api("INFO", timeout=0.2))
    except RequestTimeoutError:  # it went to the peer
        return False


async def take(steps: int) -> None:
    """Let the event loop go round so often."""
    for _ in range(steps):
        await asyncio.sleep(0)
