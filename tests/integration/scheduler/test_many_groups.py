"""A stream has a thousand consumers at most, and a lab may see as many builds within an hour."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Self

import pytest

from bus_schemas import streams, subjects
from bus_schemas.agents import Binding
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.publisher import Publisher
from qgjob.bus.requester import RequestTimeoutError
from qgjob.bus.topology import consumer_names, ensure_topology, stream_state
from qgjob.client import Client
from qgjob.clock import SystemClock
from qgjob.domain.placement.events import Bind, Event, GroupsLimited
from qgjob.domain.placement.model import GroupKey
from qgjob.scheduler.backlog.entries import Backlog
from qgjob.scheduler.dispatch import group_consumers
from qgjob.scheduler.dispatch.dispatcher import Dispatcher
from qgjob.scheduler.dispatch.group_consumers import GroupConsumers
from qgjob.scheduler.leadership.fence import Fence
from tests.support.faulty_runners import PLUGINS
from tests.support.pipeline import counts_reached, overview, system
from tests.support.runs import planned, submit
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

MOST = 6


def group_of(build: str) -> GroupKey:
    return GroupKey("any", "acme", build)


class Binder:
    """Binds slots of agent `a` as a reign does, and hears what is sent to them."""

    def __init__(self, bus: Bus, in_use: dict[GroupKey, bool]) -> None:
        clock = SystemClock()
        self.bus = bus
        self.bound: dict[str, GroupKey] = {}
        self.told_placement: list[Event] = []
        self.consumers = GroupConsumers(bus, clock, 30.0, lambda: in_use, self.told_placement.append)
        self.dispatcher = Dispatcher(
            bus=bus,
            clock=clock,
            epoch=1,
            fence=Fence(0, copies=1),
            backlog=Backlog(),
            events=Publisher(bus),
            ack_wait_s=30.0,
            on_already_ended=lambda _, __: None,
            on_gone=lambda _: None,
            consumers=self.consumers,
            bound_group=self.bound.get,
        )

    async def __aenter__(self) -> Self:
        self.told = await self.bus.nc.subscribe(subjects.agent_verb("a", "bind"))
        self.binding = asyncio.create_task(self.dispatcher.run_binds())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.binding.cancel()
        await asyncio.wait([self.binding])

    def bind(self, slot: str, group: GroupKey) -> None:
        self.bound[f"a/{slot}"] = group
        self.dispatcher.bind(Bind(f"a/{slot}", group))

    async def heard(self) -> tuple[str, str, str | None]:
        """The next slot that is bound, to which build, and its consumer."""
        binding = Binding.decode((await self.told.next_msg(10)).data)
        assert binding.group is not None
        return binding.slot, binding.group.app_version_id, binding.consumer


async def test_consumers_of_groups_that_nobody_uses_make_room_for_others(bus: Bus) -> None:
    (config,) = (config for config in streams.streams() if config["name"] == streams.WORK)
    await bus.requests.api(f"STREAM.DELETE.{streams.WORK}")
    await bus.requests.api(f"STREAM.CREATE.{streams.WORK}", {**config, "max_consumers": MOST})
    busy = group_of("v0")
    in_use = {busy: True}
    async with Binder(bus, in_use) as slots:
        for number in range(4 * MOST):
            group = group_of(f"v{number}")
            in_use[group] = True
            slots.bind("s0", group)
            assert (await slots.heard())[:2] == ("s0", f"v{number}")
            names = set(await consumer_names(bus, streams.WORK))
            assert {streams.group_consumer_name(*each) for each in (busy, group)} <= names
            if group != busy:
                del in_use[group]
        slots.bind("s0", group_of("v1"))  # whose consumer is gone: it is made again
        assert (await slots.heard())[2] in await consumer_names(bus, streams.WORK)


async def test_a_slot_that_was_given_other_work_meanwhile_is_not_bound_to_what_it_had(bus: Bus) -> None:
    async with Binder(bus, {}) as slots:
        slots.bind("s0", group_of("v0"))
        for _ in range(3):
            await asyncio.sleep(0)  # the consumer is being made
        slots.bind("s0", group_of("v1"))
        assert (await slots.heard())[:2] == ("s0", "v1")


async def test_a_group_that_was_refused_has_its_consumer_as_soon_as_there_is_room(bus: Bus) -> None:
    config = (await bus.requests.api(f"STREAM.INFO.{streams.WORK}"))["config"]
    await bus.requests.api(f"STREAM.UPDATE.{streams.WORK}", {**config, "max_consumers": 1})
    groups = [group_of(f"v{number}") for number in range(4)]
    async with Binder(bus, dict.fromkeys(groups, True)) as slots:
        slots.bind("s0", groups[0])
        assert (await slots.heard())[0] == "s0"
        for number in (1, 2):
            slots.bind(f"s{number}", groups[number])
        limited = GroupsLimited(1, frozenset(groups[1:3]))
        await wait_for(lambda: limited in slots.told_placement, 10, "no room")
        await bus.requests.api(f"STREAM.UPDATE.{streams.WORK}", {**config, "max_consumers": MOST})
        await wait_for(lambda: slots.told_placement[-1] == GroupsLimited(1), 10, "room for both")
        slots.bind("s1", groups[1])
        assert (await slots.heard())[0] == "s1", "what was refused before was not sent later"


async def test_how_many_groups_there_may_be_is_found_without_beginning_one_in_vain(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_consumers, "_MORE_AFTER_S", 0.0)
    config = (await bus.requests.api(f"STREAM.INFO.{streams.WORK}"))["config"]
    await bus.requests.api(f"STREAM.UPDATE.{streams.WORK}", {**config, "max_consumers": 1})
    groups = [group_of(f"v{number}") for number in range(2)]
    in_use = dict.fromkeys(groups, True)
    async with Binder(bus, in_use) as slots:
        slots.bind("s0", groups[0])
        assert (await slots.heard())[0] == "s0"
        slots.bind("s1", groups[1])
        limited = GroupsLimited(1, frozenset(groups[1:]))
        await wait_for(lambda: limited in slots.told_placement, 10, "no room")
        del in_use[groups[1]]
        for _ in range(3):
            await slots.consumers.report_limit()
        assert slots.consumers.limit == 1
        assert slots.told_placement[-1] == GroupsLimited(1)
        await bus.requests.api(f"STREAM.UPDATE.{streams.WORK}", {**config, "max_consumers": 2})
        await slots.consumers.report_limit()
        assert slots.told_placement[-1] == GroupsLimited(None)
        assert len(await consumer_names(bus, streams.WORK)) == 1


async def test_that_it_cannot_be_tried_whether_there_is_room_for_more_ends_no_reign(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_consumers, "_MORE_AFTER_S", 0.0)

    async def late(bus: Bus, stream: str, config: streams.ApiConfig) -> None:
        raise RequestTimeoutError(f"No answer about {config['name']} in time.")

    async with Binder(bus, {group_of("v0"): True}) as slots:
        slots.consumers.limit = 1
        monkeypatch.setattr(group_consumers, "create_consumer", late)
        assert await slots.consumers.report_limit()
        assert slots.consumers.limit == 1


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
        for build in [why.group.app_version_id for why in whys if why.state == "running" and why.group]:
            runs.append(planned(1, runner="until", argv=(str(tmp_path),), app=build))  # passes at once
            await submit(bus, runs[-1])

        async def another_passed() -> bool:
            return any([(await client.run(run.run_id)).counts == {"passed": 1} for run in runs[8:]])

        await wait_for(another_passed, 20, "a job on a slot that was promised to a group without room")
        go_on.touch()
        for run in runs:
            await counts_reached(bus, run.run_id, {"passed": 1})
        after = await overview(bus)
        assert after is not None
        assert after.leader == before.leader, "the reign goes on"


async def test_more_than_a_thousand_builds_at_once_have_room(bus: Bus) -> None:
    groups = [GroupKey("any", "acme", f"v{number}") for number in range(1005)]
    consumers = GroupConsumers(bus, SystemClock(), 30.0, lambda: dict.fromkeys(groups, True), lambda _: None)
    assert all(await asyncio.gather(*map(consumers.ensure, groups)))
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
