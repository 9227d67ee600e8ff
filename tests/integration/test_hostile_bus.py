"""What comes off the bus is hostile until checked: nothing that anybody publishes stops the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.system import submit
from bus_schemas import streams, subjects
from bus_schemas.agents import DeadLetter
from bus_schemas.jobs import JobMessage
from bus_schemas.requests import CancelRequest, CtlAnswer
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all
from qgjob.bus.publish import OutMsg, publish_batch
from qgjob.client.publish_run import cut
from tests.support.pipeline import Witness, counted, planned, system
from tests.support.wait import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

RUBBISH = [b"", b"no json", b"\xff\xfe\x00", b"[]", b'{"v":1}', b'{"v":99}', b"9" * 10_000]


async def dead_letters(bus: Bus) -> list[DeadLetter]:
    found: list[DeadLetter] = []
    async for page in read_all(bus, streams.DEAD, subjects.DEAD_ALL):
        found += [DeadLetter.decode(message.data) for message in page]
    return found


async def test_rubbish_everywhere_is_set_aside_and_work_goes_on(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=2) as (_, bus):
        await submit(bus, planned(2, runner="noop"))
        group = subjects.work_prefix("any", "bench", "v1")
        for number, data in enumerate(RUBBISH):
            await bus.requests.publish(f"qg.jobs.high.acme.j_{number}", data)
            await bus.requests.publish(f"{group}.j_{number}", data)
            await bus.requests.publish(f"qg.events.acme.r_1.j_{number}.1.state", data)
            await bus.requests.publish(f"qg.events.acme.r_1.j_{number}.1.info", data)
            await kv.put(bus, streams.AGENTS_BUCKET, f"agent_{number}", data)
            for subject in (
                "qg.slot.x.y.next",
                subjects.HELLO,
                subjects.agent_verb("local", "bind"),
                subjects.agent_verb("local", "cancel"),
                subjects.agent_verb("local", "unheard_of"),
                subjects.ctl("cancel"),
                subjects.query("get"),
                "qg.live.agents.x",
            ):
                await bus.nc.publish(subject, data)
        run = planned(20, runner="noop")
        await submit(bus, run)
        await counted(bus, run.run_id, {"passed": 20})

        async def all_set_aside() -> bool:
            letters = await dead_letters(bus)
            by_stream = {
                name: sum(letter.stream == name for letter in letters) for name in ("QG_JOBS", "QG_WORK")
            }
            assert by_stream["QG_JOBS"] == len(RUBBISH), by_stream
            assert by_stream["QG_WORK"] == len(RUBBISH), by_stream
            assert all(letter.reason for letter in letters)
            return True

        await wait_for(all_set_aside, 20, "dead letters")


async def test_a_job_may_not_speak_for_another_organisation(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=1) as (_, bus):
        spec = planned(1, runner="noop").specs[0]
        await bus.requests.publish(
            subjects.job("medium", "acme", spec.job_id), JobMessage(spec=spec).encode()
        )
        letters = await wait_for(lambda: dead_letters(bus), 10, "a dead letter")
        assert "does not belong" in letters[0].reason


async def test_a_control_request_is_answered_whatever_it_says(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=1) as (_, bus):
        answer = CtlAnswer.decode((await bus.requests.request(subjects.ctl("cancel"), b"rubbish")).data)
        assert answer.problem
        assert answer.problem.code == "bad_request"
        unknown = CancelRequest(id="j_unknown", by="test").encode()
        answer = CtlAnswer.decode((await bus.requests.request(subjects.ctl("cancel"), unknown)).data)
        assert answer.problem
        assert answer.problem.code == "not_found"
        answer = CtlAnswer.decode((await bus.requests.request(subjects.ctl("explode"), b"{}")).data)
        assert answer.problem
        assert "explode" in answer.problem.message


async def test_a_run_of_which_a_part_is_missing_is_refused_as_a_whole(tmp_path: Path) -> None:
    quick = ("--open-run", "1")
    async with (
        system(tmp_path, agents=1, slots=2, scheduler_args=quick) as (_, bus),
        Witness().watching(bus) as witness,
    ):
        run = planned(1700, runner="noop")
        parts = cut(run.specs)
        assert len(parts) > 2
        for number, specs in enumerate(parts[:-1]):
            await publish_batch(
                bus,
                [
                    OutMsg(
                        subjects.job("medium", "bench", spec.job_id),
                        JobMessage(spec=spec, part=number, parts=len(parts)).encode(),
                    )
                    for spec in specs
                ],
            )
        sent = sum(len(specs) for specs in parts[:-1])

        def refused() -> list[str]:
            return [job for job, heard in witness.events.items() if any(e.kind == "refused" for e in heard)]

        await wait_for(lambda: len(refused()) == sent, 30, f"{sent} refused jobs")
        assert not witness.started(), "a part of the run was run"


async def test_a_run_of_several_parts_runs_as_a_whole(tmp_path: Path) -> None:
    async with system(tmp_path, agents=2, slots=4) as (_, bus):
        run = planned(1700, runner="noop")
        await submit(bus, run)
        await counted(bus, run.run_id, {"passed": 1700})


async def test_a_submit_repeated_after_its_answer_was_lost_adds_nothing(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=2) as (_, bus), Witness().watching(bus) as witness:
        for count in (1, 40):
            run = planned(count, runner="noop")
            await submit(bus, run)
            await counted(bus, run.run_id, {"passed": count})
            await submit(bus, run)
            await submit(bus, run)
            after = planned(1, runner="noop")
            await submit(bus, after)
            await counted(bus, after.run_id, {"passed": 1})
            for spec in run.specs:
                assert sum(e.kind == "started" for e in witness.events[spec.job_id]) <= 1
                assert witness.ends[spec.job_id] == 1
            await counted(bus, run.run_id, {"passed": count})
