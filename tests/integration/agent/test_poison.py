"""Who was lost under an attempt, and who merely let go: the claim chain knows."""

from __future__ import annotations

import time

from agent.attempts.claim import MAX_TAKEOVERS, Claim, claim
from agent.attempts.identity import Identity
from bus_schemas.events import Attempt, Ended
from bus_schemas.jobs import JobMessage
from qgjob.bus.chain import chain_subject, read_chain
from qgjob.bus.connect import Bus
from tests.support.runs import planned


def fresh() -> JobMessage:
    return JobMessage(spec=planned(1, runner="noop").specs[0])


async def taken(bus: Bus, message: JobMessage, agent: str) -> Claim | None:
    return await claim(bus, message, Identity(agent, "s0", "d0"), "running")


async def end_of(bus: Bus, message: JobMessage) -> Ended:
    link, _ = await read_chain(bus, chain_subject(message))
    assert isinstance(link, Ended)
    return link


async def test_three_slots_that_were_lost_make_a_job_poisonous(bus: Bus) -> None:
    message = fresh()
    for agent in ("a", "b", "c"):
        assert await taken(bus, message, agent) is not None
    assert await taken(bus, message, "d") is None
    end = await end_of(bus, message)
    assert (end.state, end.result.reason, end.final) == ("errored", "poisonous", True)
    assert "a/s0, b/s0, c/s0" in (end.result.message or "")


async def test_who_lets_go_is_not_lost(bus: Bus) -> None:
    message = fresh()
    for agent in ("a", "b", "c", "d"):
        held = await taken(bus, message, agent)
        assert held is not None
        assert not held.lost
        await held.give_up()


async def test_a_slot_that_takes_its_own_work_over_was_not_lost(bus: Bus) -> None:
    message = fresh()
    for _ in range(MAX_TAKEOVERS + 1):
        held = await taken(bus, message, "a")
        assert held is not None
        assert not held.lost
    assert await taken(bus, message, "a") is None
    assert (await end_of(bus, message)).result.reason == "takeovers"


async def test_devices_lost_in_earlier_attempts_count(bus: Bus) -> None:
    message = fresh()
    message = message.model_copy(
        update={"spec": message.spec.model_copy(update={"infra_retries": 10}), "attempt": 1}
    )
    ends: list[Ended] = []
    for number, agent in enumerate(("a", "b", "c"), start=1):
        held = await taken(bus, message, agent)
        assert held is not None
        result = Attempt(
            number=number, agent=agent, slot="s0", finished_at=time.time(), outcome="errored"
        ).model_copy(update={"reason": "device_lost", "message": "the cable was pulled"})
        assert await held.end("errored", result) == "recorded"
        ends.append(await end_of(bus, message))
        message = ends[-1].next or message
    assert [end.result.reason for end in ends[:2]] == ["device_lost", "device_lost"]
    end = ends[-1]
    assert (end.result.reason, end.next, end.final) == ("poisonous", None, True)
    assert "the cable was pulled" in (end.result.message or "")


async def test_an_end_after_somebody_let_go_counts_once(bus: Bus) -> None:
    message = fresh()
    first = await taken(bus, message, "a")
    assert first is not None
    await first.give_up()
    second = await taken(bus, message, "b")
    assert second is not None
    result = Attempt(number=1, agent="b", slot="s0", finished_at=time.time(), outcome="passed")
    assert await first.end("passed", result) == "lost"
    assert await second.end("passed", result) == "recorded"
