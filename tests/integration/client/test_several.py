"""Several jobs in one request, with a scheduler of a release that knows only one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus_schemas import subjects
from bus_schemas.base import Problem
from bus_schemas.control import CancelRequest, CtlAnswer
from qgjob.client import Client

if TYPE_CHECKING:
    from nats.aio.msg import Msg


async def test_what_an_older_leader_says_nothing_of_is_asked_for_again(client: Client):
    seen: list[str] = []

    async def to_the_first_alone(msg: Msg) -> None:
        request = CancelRequest.decode(msg.data)
        seen.append(request.id)
        answer = CtlAnswer(affected=(request.id,))
        await client.bus.nc.publish(msg.reply, answer.encode())

    await client.bus.nc.subscribe(subjects.CTL_ALL, cb=to_the_first_alone)
    answer = await client.cancel_jobs(["j_1", "j_2", "j_3"])
    assert answer.affected == ("j_1", "j_2", "j_3")
    assert seen == ["j_1", "j_2", "j_3"]


async def test_what_it_refuses_of_one_does_not_stop_the_others(client: Client):
    async def to_the_first_alone(msg: Msg) -> None:
        name = CancelRequest.decode(msg.data).id
        answer = CtlAnswer(affected=(name,))
        if name == "j_2":
            answer = CtlAnswer(problem=Problem(code="not_found", message="There is no job or run j_2."))
        await client.bus.nc.publish(msg.reply, answer.encode())

    await client.bus.nc.subscribe(subjects.CTL_ALL, cb=to_the_first_alone)
    answer = await client.cancel_jobs(["j_1", "j_2", "j_3"])
    assert answer.affected == ("j_1", "j_3")
    (refused,) = answer.refused
    assert (refused.ids, refused.message) == (("j_2",), "There is no job or run j_2.")
