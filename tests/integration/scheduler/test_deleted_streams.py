"""Streams and buckets that somebody deletes or empties while a leader reigns."""

from __future__ import annotations

from typing import Final

import pytest

from bus_schemas import streams
from bus_schemas.rules import PauseRequest
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.requester import RequestTimeoutError
from qgjob.bus.topology import missing_streams
from qgjob.clock import SystemClock
from qgjob.scheduler import reign
from qgjob.scheduler.rulebook import RuleBook
from tests.support.pipeline import overview
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for

_KEY: Final = f"KV_{streams.LEADER_BUCKET}"
_UNREAD: Final = (
    streams.HISTORY,
    streams.LOGS,
    f"KV_{streams.BUILDS_BUCKET}",
    f"OBJ_{streams.BUNDLE_OBJECTS}",
)
"""What a reign that goes on never asks for."""


async def epoch(bus: Bus) -> int:
    seen = await overview(bus)
    return seen.leader.epoch if seen is not None and seen.leader is not None else 0


@pytest.mark.parametrize("which", ["the leader's key", "what is not read", "all others"])
async def test_they_are_made_again_and_the_leader_goes_on(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer, which: str
) -> None:
    names = {str(config["name"]) for config in (*streams.streams(), *streams.buckets())}
    gone = {"the leader's key": {_KEY}, "what is not read": {*_UNREAD}}.get(which, names - {_KEY, *_UNREAD})
    async with scheduling(nats_server, valkey_server):
        before = await wait_for(lambda: epoch(bus), 20, "a leader")
        for name in gone:
            await bus.requests.api(f"STREAM.DELETE.{name}")

        async def there() -> bool:
            assert await missing_streams(bus) == []
            assert await epoch(bus) > before
            return True

        await wait_for(there, 30, "another reign that has all its streams")


async def test_a_reign_goes_on_while_nobody_can_say_what_streams_there_are(
    nats_server: NatsServer,
    valkey_server: ValkeyServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As in a cluster that lost its leader: until another one is elected it gives no answer."""
    asked = 0

    async def late(bus: Bus) -> list[str]:
        nonlocal asked
        asked += 1
        if asked <= 2:
            raise RequestTimeoutError("No answer from $JS.API.STREAM.NAMES in time.")
        return await missing_streams(bus)

    monkeypatch.setattr(reign, "missing_streams", late)
    monkeypatch.setattr(reign, "_STREAMS_EVERY_S", 0.05)
    async with scheduling(nats_server, valkey_server):
        await wait_for(lambda: asked > 3, 20, "four looks")
    assert not [record for record in caplog.records if "the reign of" in record.message]


async def test_a_setting_that_was_purged_can_be_set_again(bus: Bus) -> None:
    heard: list[object] = []
    rules = RuleBook(bus, SystemClock(), heard.append)
    await rules.pause(PauseRequest(org_id="a", by="ann").encode())
    await bus.requests.api(f"STREAM.PURGE.KV_{streams.SETTINGS_BUCKET}")
    answer = await rules.pause(PauseRequest(org_id="b", by="ann").encode())
    assert [pause.org_id for pause in answer.pauses] == ["b"], "what is not stored is not in force"
    assert await kv.get(bus, streams.SETTINGS_BUCKET, "rules") is not None
    assert heard
