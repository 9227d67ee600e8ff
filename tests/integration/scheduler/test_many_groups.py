"""A stream has a thousand consumers at most, and a lab may see as many builds within an hour."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bus_schemas import streams, subjects
from bus_schemas.agents import Binding
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.publisher import Publisher
from qgjob.bus.topology import consumer_names, ensure_topology, stream_state
from qgjob.client import Client
from qgjob.clock import SystemClock
from qgjob.domain.placement.model import Bind, GroupKey
from qgjob.scheduler.backlog.entries import Backlog
from qgjob.scheduler.dispatch.dispatcher import Dispatcher
from qgjob.scheduler.dispatch.group_consumers import GroupConsumers
from qgjob.scheduler.leadership.fence import Fence
from tests.support.badlab import PLUGINS
from tests.support.pipeline import counted, overview, system
from tests.support.runs import planned, submit
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

MOST = 6


async def test_consumers_of_groups_that_nobody_uses_make_room_for_others(bus: Bus) -> None:
    (config,) = (config for config in streams.streams() if config["name"] == streams.WORK)
    await bus.requests.api(f"STREAM.DELETE.{streams.WORK}")
    await bus.requests.api(f"STREAM.CREATE.{streams.WORK}", {**config, "max_consumers": MOST})
    busy = GroupKey("any", "acme", "v0")
    in_use = {busy: True}
    clock = SystemClock()
    dispatcher = Dispatcher(
        bus=bus,
        clock=clock,
        epoch=1,
        fence=Fence(0, copies=1),
        backlog=Backlog(),
        events=Publisher(bus),
        ack_wait_s=30.0,
        on_already_ended=lambda _, __: None,
        on_gone=lambda _: None,
        consumers=GroupConsumers(bus, clock, 30.0, lambda: in_use, lambda _: None),
    )
    told = await bus.nc.subscribe(subjects.agent_verb("a", "bind"))
    binding = asyncio.create_task(dispatcher.run_binds())
    for number in range(4 * MOST):
        group = GroupKey("any", "acme", f"v{number}")
        in_use[group] = True
        dispatcher.bind(Bind("a/s0", group))
        heard = Binding.decode((await told.next_msg(10)).data)
        assert heard.group is not None
        assert heard.group.app_version_id == group.app_version_id
        names = set(await consumer_names(bus, streams.WORK))
        assert {streams.group_consumer_name(*each) for each in (busy, group)} <= names
        if group != busy:
            del in_use[group]
    dispatcher.bind(Bind("a/s0", GroupKey("any", "acme", "v1")))  # whose consumer is gone: it is made again
    assert Binding.decode((await told.next_msg(10)).data).consumer in await consumer_names(bus, streams.WORK)
    binding.cancel()
    await asyncio.wait([binding])


async def test_more_builds_than_the_server_has_room_for_wait_and_the_reign_goes_on(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=4, plugins=PLUGINS) as (_, bus):
        client = Client(bus, SystemClock())
        config = (await bus.requests.api(f"STREAM.INFO.{streams.WORK}"))["config"]
        await bus.requests.api(f"STREAM.UPDATE.{streams.WORK}", {**config, "max_consumers": 2})
        before = await overview(bus)
        assert before is not None
        go_on = tmp_path / "go on"
        runs = [planned(1, runner="until", argv=(str(go_on),), app=f"v{number}") for number in range(8)]
        for run in runs:
            await submit(bus, run)

        async def held() -> bool:
            seen = await overview(bus)
            assert seen is not None
            assert (seen.most_groups, seen.running) == (2, 2)
            return seen.groups_held >= 4

        await wait_for(held, 20, "groups that wait for room")

        async def said() -> bool:
            checks = (await client.health()).checks
            return any("room for 2 at once" in check.detail for check in checks if check.name == "queue")

        await wait_for(said, 20, "that in the health")
        jobs = [job.job_id for run in runs for job in run.specs]
        whys = [await client.explain(job_id) for job_id in jobs]
        assert any(gate.kind == "no_room" for why in whys for gate in why.gates)
        go_on.touch()
        for run in runs:
            await counted(bus, run.run_id, {"passed": 1})
        after = await overview(bus)
        assert after is not None
        assert after.leader == before.leader, "the reign goes on"


async def test_more_than_a_thousand_builds_at_once_have_room(bus: Bus) -> None:
    groups = [GroupKey("any", "acme", f"v{number}") for number in range(1005)]
    consumers = GroupConsumers(bus, SystemClock(), 30.0, lambda: dict.fromkeys(groups, True), lambda _: None)
    assert all(await asyncio.gather(*map(consumers.be_there, groups)))
    assert len(await consumer_names(bus, streams.WORK)) == len(groups)


@pytest.mark.parametrize("allowed", [3, -1])
async def test_a_stream_of_a_former_release_may_have_more_and_what_operators_set_stays(
    bus: Bus, allowed: int
) -> None:
    info = await bus.requests.api(f"STREAM.INFO.{streams.WORK}")
    await bus.requests.api(f"STREAM.UPDATE.{streams.WORK}", {**info["config"], "max_consumers": allowed})
    await ensure_topology(bus)
    config = (await bus.requests.api(f"STREAM.INFO.{streams.WORK}"))["config"]
    assert config["max_consumers"] == (3 if allowed == 3 else streams.MAX_GROUPS)


async def test_where_the_account_allows_few_the_stream_is_made_all_the_same(tmp_path: Path) -> None:
    config = tmp_path / "nats.conf"
    config.write_text(
        "jetstream {}\naccounts { LAB: { jetstream: { max_consumers: 7 }, users: [{user: a, password: a}] } }\n"
        "no_auth_user: a\n"
    )
    server = NatsServer(tmp_path / "nats", config=config)
    await server.start()
    try:
        async with open_bus(ServerOptions(url=server.url)) as bus:
            for _ in range(2):
                await ensure_topology(bus)
            assert (await stream_state(bus, streams.WORK))["consumer_count"] == 0
    finally:
        server.kill()
