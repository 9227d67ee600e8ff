"""Streams and buckets that somebody deletes or empties while a leader reigns."""

from __future__ import annotations

from typing import Final

import pytest

from bus_schemas import streams
from bus_schemas.rules import PauseRequest
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.topology import missing_streams
from qgjob.clock import SystemClock
from qgjob.scheduler.dispatch.rulebook import RuleBook
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


async def test_a_setting_that_was_purged_can_be_set_again(bus: Bus) -> None:
    heard: list[object] = []
    rules = RuleBook(bus, SystemClock(), heard.append)
    await rules.pause(PauseRequest(org_id="a", by="ann").encode())
    await bus.requests.api(f"STREAM.PURGE.KV_{streams.SETTINGS_BUCKET}")
    answer = await rules.pause(PauseRequest(org_id="b", by="ann").encode())
    assert [pause.org_id for pause in answer.pauses] == ["b"], "what is not stored is not in force"
    assert await kv.get(bus, streams.SETTINGS_BUCKET, "rules") is not None
    assert heard
