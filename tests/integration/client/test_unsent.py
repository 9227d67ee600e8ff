"""What is sent while the server is away."""

from __future__ import annotations

import secrets

import pytest
from nats.aio.msg import Msg

from qgjob.bus.connect import ServerOptions, connect, open_bus
from qgjob.bus.direct import read_page
from qgjob.errors import UnreachableError
from qgjob.local.ports import free_port
from tests.support.proxy import Proxy
from tests.support.servers import NatsServer
from tests.support.wait import wait_for


async def test_a_server_that_was_away_is_not_sent_what_nobody_waits_for_any_more(
    shared_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, heard = f"unsent.{secrets.token_hex(4)}", list[bytes]()

    async def hear(msg: Msg) -> None:
        heard.append(msg.data)

    async with (
        open_bus(ServerOptions(shared_nats.url)) as there,
        there.subscribed(subject, hear),
        Proxy(shared_nats.port) as proxy,
        open_bus(ServerOptions(proxy.url, wait_for_server=True)) as bus,
    ):
        await there.requests.round_trip()
        proxy.to = free_port()
        proxy.cut()
        await wait_for(lambda: not bus.connected)
        await bus.nc.publish(subject, b"long ago")
        with monkeypatch.context() as patch:
            patch.setattr("qgjob.bus.connection._KEPT_S", -1.0)
            await bus.nc.publish(subject, b"lately")
        await bus.nc.publish(subject, b"just now")
        proxy.to = shared_nats.port
        await wait_for(lambda: b"just now" in heard, 10, "the last message")
        assert heard == [b"lately", b"just now"]


async def test_a_connection_that_has_ended_says_so_to_whoever_uses_it(shared_nats: NatsServer) -> None:
    async def hear(_: Msg) -> None: ...

    bus = await connect(ServerOptions(shared_nats.url))
    await bus.close()
    for use in (
        bus.subscribed("unsent.later", hear).__aenter__(),
        bus.nc.publish("unsent.later", b""),
        read_page(bus, "QG_EVENTS", "qg.events.>"),
        bus.requests.request("unsent.later"),
    ):
        with pytest.raises(UnreachableError):
            await use
