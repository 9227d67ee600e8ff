"""A stream has a thousand consumers at most, and a lab may see as many builds within an hour."""

from __future__ import annotations

import asyncio

from bus_schemas import streams, subjects
from bus_schemas.agents import Binding
from qgjob.bus.connect import Bus
from qgjob.bus.publisher import Publisher
from qgjob.bus.topology import consumer_names
from qgjob.clock import SystemClock
from qgjob.domain.placement.model import Bind, GroupKey
from qgjob.scheduler.backlog.entries import Backlog
from qgjob.scheduler.dispatch.dispatcher import Dispatcher
from qgjob.scheduler.leadership.fence import Fence

MOST = 6


async def test_consumers_of_groups_that_nobody_uses_make_room_for_others(bus: Bus) -> None:
    (config,) = (config for config in streams.streams() if config["name"] == streams.WORK)
    await bus.requests.api(f"STREAM.DELETE.{streams.WORK}")
    await bus.requests.api(f"STREAM.CREATE.{streams.WORK}", {**config, "max_consumers": MOST})
    busy = GroupKey("any", "acme", "v0")
    in_use = {busy}
    dispatcher = Dispatcher(
        bus=bus,
        clock=SystemClock(),
        epoch=1,
        fence=Fence(0, copies=1),
        backlog=Backlog(),
        events=Publisher(bus),
        ack_wait_s=30.0,
        on_already_ended=lambda _, __: None,
        on_gone=lambda _: None,
        in_use=lambda: in_use,
    )
    told = await bus.nc.subscribe(subjects.agent_verb("a", "bind"))
    binding = asyncio.create_task(dispatcher.run_binds())
    for number in range(4 * MOST):
        group = GroupKey("any", "acme", f"v{number}")
        in_use.add(group)
        dispatcher.bind(Bind("a/s0", group))
        heard = Binding.decode((await told.next_msg(10)).data)
        assert heard.group is not None
        assert heard.group.app_version_id == group.app_version_id
        names = set(await consumer_names(bus, streams.WORK))
        assert {streams.group_consumer_name(*each) for each in (busy, group)} <= names
        in_use.intersection_update({busy})
    dispatcher.bind(Bind("a/s0", GroupKey("any", "acme", "v1")))  # whose consumer is gone: it is made again
    assert Binding.decode((await told.next_msg(10)).data).consumer in await consumer_names(bus, streams.WORK)
    binding.cancel()
    await asyncio.wait([binding])
