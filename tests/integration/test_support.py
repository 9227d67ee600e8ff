"""The test servers themselves: what the other tests lean on."""

from __future__ import annotations

import json

import nats
import pytest
from redis.asyncio import Redis

from qgjob.local.ports import free_port
from qgjob.local.probes import nats_ready, valkey_ready
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for


async def test_a_nats_server_keeps_its_address_and_its_store_over_a_kill(nats_server: NatsServer) -> None:
    url = nats_server.url
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name="KEPT", subjects=["kept"])
    await stream.publish("kept", b"1")
    await client.close()

    await nats_server.restart()

    assert nats_server.url == url
    client = await nats.connect(url)
    assert (await client.jetstream().stream_info("KEPT")).state.messages == 1
    await client.close()


async def test_a_paused_server_does_not_answer_until_it_is_resumed(nats_server: NatsServer) -> None:
    nats_server.pause()
    assert not await nats_ready(nats_server.host, nats_server.port, timeout=0.2)
    nats_server.resume()
    assert await nats_ready(nats_server.host, nats_server.port)


async def test_a_killed_server_is_gone(nats_server: NatsServer, valkey_server: ValkeyServer) -> None:
    nats_server.kill()
    valkey_server.kill()
    assert not await nats_ready(nats_server.host, nats_server.port)
    assert not await valkey_ready(valkey_server.host, valkey_server.port)


async def test_the_command_line_wins_over_the_configuration_file(shared_nats: NatsServer) -> None:
    client = await nats.connect(shared_nats.url)
    account = json.loads((await client.request("$JS.API.INFO", b"")).data)
    await client.close()
    assert "error" not in account
    assert shared_nats.port != 4222
    assert (shared_nats.folder / "store" / "jetstream").is_dir()


async def test_valkey_answers_and_forgets_at_a_restart(valkey_server: ValkeyServer) -> None:
    async with Redis.from_url(valkey_server.url) as client:
        await client.set("kept", "no")
    await valkey_server.restart()
    async with Redis.from_url(valkey_server.url) as client:
        assert await client.get("kept") is None


async def test_shared_servers_are_usable(shared_nats: NatsServer, shared_valkey: ValkeyServer) -> None:
    assert await nats_ready(shared_nats.host, shared_nats.port)
    assert await valkey_ready(shared_valkey.host, shared_valkey.port)


def test_a_port_is_given_once() -> None:
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == len(ports)


async def test_waiting_in_vain_says_what_was_seen() -> None:
    seen = [3]
    with pytest.raises(
        AssertionError, match=r"waited 0\.05 s in vain for a seven; last seen: AssertionError"
    ):
        await wait_for(lambda: _assert_seven(seen), 0.05, "a seven")


def _assert_seven(seen: list[int]) -> bool:
    assert seen == [7]
    return True
