"""Questions that are none, and ids that could mean something to the bus or the store."""

from __future__ import annotations

import json

from bus_schemas import subjects
from bus_schemas.logs import LogsAnswer, LogsQuery
from bus_schemas.queries import AgentsAnswer, GetAnswer, Query
from qgjob.bus.connect import Bus
from qgjob.scheduler.projection.projector import Projector
from qgjob.scheduler.queries.service import QueryService
from tests.support.eventlog import record
from tests.support.histories import Ids, lifetime
from tests.support.questions import ONE, ask, get, problem

RUBBISH = (
    b"",
    b"no json",
    b"[]",
    b"{}",
    b'{"id": ""}',
    b'{"id": "x", "job_id": "x", "limit": -1}',
    b'{"v": 99, "id": "x", "job_id": "x"}',
    b"\xff",
)


async def test_bad_questions(bus: Bus, queries: QueryService) -> None:
    for name in ("get", "logs", "list"):
        for data in RUBBISH:
            reply = await bus.requests.request(subjects.query(name), data)
            answer = json.loads(reply.data)
            if name == "list" and data in {b"{}", b'{"id": ""}'}:
                assert answer["problem"]["code"] == "unavailable"  # a right question, and no projection
            else:
                assert answer["problem"]["code"] == "bad_request"
                assert "\n" not in answer["problem"]["message"]
    assert (await ask(bus, "agents", Query(), AgentsAnswer)).problem is None


async def test_a_question_that_there_is_not(bus: Bus, queries: QueryService) -> None:
    reply = await bus.requests.request("qg.query.lottery.any", b"{}")
    assert "lottery" in GetAnswer.decode(reply.data).model_dump()["problem"]["message"]


HOSTILE_IDS = ("*", ">", "a b", "qg.events.>", "x" * 200, "é\x00", "j_1:jobs", "=2A")


async def test_hostile_ids(bus: Bus, projected: Projector) -> None:
    del projected  # it projects
    await record(bus, lifetime(ONE))
    for any_id in HOSTILE_IDS:
        assert problem(await get(bus, any_id)) == "not_found", any_id
        assert problem(await ask(bus, "logs", LogsQuery(job_id=any_id), LogsAnswer)) == "not_found", any_id
    for any_id in HOSTILE_IDS:
        await record(bus, lifetime(Ids(any_id, any_id + "r", any_id, any_id)))
    for any_id in HOSTILE_IDS:
        job, run = await get(bus, any_id, any_id), await get(bus, any_id + "r")
        assert job.job is not None, any_id
        assert job.job.org_id == any_id
        assert run.run is not None, any_id
        assert run.run.counts == {"passed": 1}
    assert (await get(bus, "r_1")).run is not None
