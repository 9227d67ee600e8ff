"""A user of the store who may do what `docs/deploy.md` says and nothing else."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

import pytest

from bus_schemas.queries import CheckView
from qgjob.bus.connect import Bus
from qgjob.clock import SystemClock
from qgjob.errors import NotAllowedError
from qgjob.scheduler.queries.health_check import HealthCheck
from qgjob.store.agents import write_agents
from qgjob.store.connect import Store, open_store
from qgjob.store.reader import Filters, Reader
from tests.support.eventlog import record
from tests.support.projecting import lives, running, wait_until_projected
from tests.support.servers import ValkeyServer
from tests.support.views import heartbeat
from tests.support.wait import wait_for

ROOT = Path(__file__).parents[3]


def documented() -> list[str]:
    """The rights in the ACL line of the page."""
    (line,) = re.findall(
        r"^user qgjob on >PASSWORD (.+)$", (ROOT / "docs/deploy.md").read_text(), re.MULTILINE
    )
    return line.split()


@contextlib.asynccontextmanager
async def as_user(valkey: ValkeyServer, rights: list[str]) -> AsyncGenerator[Store]:
    async with open_store(valkey.url) as admin:
        await admin.client.execute_command("ACL", "SETUSER", "qgjob", "reset", "on", ">secret", *rights)
        async with open_store(valkey.url.replace("://", "://qgjob:secret@")) as store:
            yield store
            denied = cast("list[dict[str, str]]", await admin.client.execute_command("ACL", "LOG"))
    assert {entry["object"] for entry in denied} <= {"info"} - {right[1:] for right in rights}


async def store_check(bus: Bus, store: Store) -> CheckView:
    answer = await HealthCheck(bus, Reader(store), SystemClock()).answer()
    return next(check for check in answer.checks if check.name == "store")


@pytest.mark.parametrize("left_out", ["", "+info"])
async def test_the_rights_that_are_documented_are_enough(
    bus: Bus, valkey_server: ValkeyServer, left_out: str
) -> None:
    rights = [right for right in documented() if right != left_out]
    async with as_user(valkey_server, rights) as store:
        async with running(bus, store) as projector:
            last = await record(bus, lives(0, 30))
            await wait_until_projected(store, last)
            await write_agents(store, [heartbeat()])
            assert projector.rebuilds == 1
            reader = Reader(store)
            assert (await reader.list(Filters(org_id="acme"), limit=10)).total is not None
            assert (await reader.list(Filters(org_id="acme", state="passed"), limit=10)).jobs is not None
            assert await reader.alive(10, ["queued"], besides=()) == []
            assert (await reader.find("j_1")).job is not None
            assert (await reader.run_and_jobs("r_0", ["j_1"])).jobs
            assert (await reader.run_page("r_0", 0, 10, {})).ids
            await reader.depths(SystemClock().now())
        check = await store_check(bus, store)
        assert check.ok
        assert ("may not ask (INFO)" in check.detail) == (left_out == "+info")
    async with open_store(valkey_server.url) as admin:  # what an operator wipes is written again
        await admin.client.flushdb()
    async with as_user(valkey_server, rights) as store, running(bus, store):
        await wait_until_projected(store, last)


@pytest.mark.parametrize("missing", ["+unlink", "+hmget", "+hgetall", "~run:*"])
async def test_a_right_that_is_missing_is_named(
    bus: Bus, valkey_server: ValkeyServer, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not the password: it was right."""
    async with open_store(valkey_server.url) as admin:
        rights = [right for right in documented() if right != missing]
        await admin.client.execute_command("ACL", "SETUSER", "qgjob", "reset", "on", ">secret", *rights)
        await admin.client.hset("run:left", "over", "1")
        async with open_store(valkey_server.url.replace("://", "://qgjob:secret@")) as store:
            async with running(bus, store):
                await record(bus, lives(0, 3))
                await wait_for(lambda: "does not permit its user" in caplog.text, 10, "the reason")
            assert "credentials" not in caplog.text
            assert "built anew" not in caplog.text
            if missing == "+hgetall":
                with pytest.raises(NotAllowedError, match="hgetall"):
                    await Reader(store).position()
