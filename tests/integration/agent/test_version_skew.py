"""An agent and a scheduler of different releases: older messages are read, newer ones get a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bus_schemas import streams, subjects
from bus_schemas.base import SCHEMA_VERSION
from bus_schemas.jobs import JobMessage, capability_of
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import publish_each
from tests.support.pipeline import Witness, planned, system
from tests.support.wait import wait_for

pytestmark = pytest.mark.integration


async def test_a_job_of_a_newer_release_is_given_back_and_the_slot_says_why(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=1) as (_, bus):
        old = planned(1, runner="noop").specs[0]
        message = json.loads(JobMessage(spec=old).encode())
        del message["v"]  # as the first release wrote it
        async with Witness().watching(bus) as witness:
            subject = subjects.job("medium", old.org_id, old.job_id)
            await publish_each(bus, [OutMsg(subject, json.dumps(message).encode())])
            await wait_for(lambda: witness.ends[old.job_id] == 1, 30, "the end of an older message's job")
        new = planned(1, runner="noop").specs[0]
        newer = {**message, "v": SCHEMA_VERSION + 1, "spec": {**message["spec"], "job_id": new.job_id}}
        capability = capability_of(new.requires)
        work = subjects.work(capability, new.org_id, new.app_version_id, new.job_id)
        await publish_each(bus, [OutMsg(work, json.dumps(newer).encode())])

        async def said() -> bool:
            from qgjob.client import query

            (agent,) = await query.agents(bus)
            return agent.slots[0].state == "quarantined" and "too old" in (agent.slots[0].note or "")

        await wait_for(said, 30, "the slot to say that it is too old")
        info = await bus.requests.api(f"STREAM.INFO.{streams.DEAD}")
        assert info["state"]["messages"] == 0, "nothing is wrong with the job"
        info = await bus.requests.api(f"STREAM.INFO.{streams.WORK}", {"subjects_filter": work})
        assert info["state"]["subjects"] == {work: 1}, "it waits for an agent that can read it"
