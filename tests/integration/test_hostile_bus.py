"""What comes off the bus is hostile until checked: nothing that anybody publishes stops the work."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bus_schemas import streams, subjects
from bus_schemas.agents import Heartbeat, SlotNext
from bus_schemas.control import CancelRequest, CtlAnswer
from bus_schemas.deadletters import DeadLetter
from bus_schemas.jobs import JobMessage
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all
from qgjob.bus.publish import OutMsg, publish_batch
from qgjob.client.submitting.publish_run import cut
from tests.support.pipeline import EventRecorder, counts_reached, overview, system
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

in_the_lab = pytest.mark.asyncio(loop_scope="module")

RUBBISH = [b"", b"no json", b"\xff\xfe\x00", b"[]", b'{"v":1}', b'{"v":99}', b"9" * 10_000]


async def dead_letters(bus: Bus) -> list[DeadLetter]:
    found: list[DeadLetter] = []
    async for page in read_all(bus, streams.DEAD, subjects.DEAD_ALL):
        found += [DeadLetter.decode(message.data) for message in page]
    return found


async def is_set_aside(bus: Bus, stream: str, text: str) -> None:
    """Wait until there is a dead letter of a stream with this in its reason."""

    async def there() -> bool:
        return any(one.stream == stream and text in one.reason for one in await dead_letters(bus))

    await wait_for(there, 10, f"a dead letter of {stream} that says {text}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bus]:
    """One system that is to survive what each test publishes, its first reign too."""
    async with system(tmp_path_factory.mktemp("lab"), agents=1, slots=1) as (_, bus):
        yield bus


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
        await counts_reached(bus, run.run_id, {"passed": 20})

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


@in_the_lab
async def test_a_job_may_not_speak_for_another_organisation(lab: Bus) -> None:
    spec = planned(1, runner="noop").specs[0]
    await lab.requests.publish(subjects.job("medium", "acme", spec.job_id), JobMessage(spec=spec).encode())
    await is_set_aside(lab, streams.JOBS, "does not belong")


def _end(**result: object) -> dict[str, object]:
    """An end of a job that nobody submitted, with something absurd in its result."""
    attempt = {"number": 1, "agent": "lab-1", "slot": "s0", "outcome": "passed", **result}
    where = {"org_id": "acme", "run_id": "r_1", "job_id": "j_1", "attempt": 1, "at": 1.0}
    return {
        **where,
        "kind": "ended",
        "nonce": "n",
        "state": "passed",
        "app_version_id": "v1",
        "result": attempt,
    }


ABSURD = {
    "a duration below nothing": _end(duration_s=-1.0) | {"test": "t.py"},
    "a duration that is no number": _end(duration_s=float("nan")) | {"test": "t.py"},
    "a duration without end": _end(duration_s=float("inf")) | {"test": "t.py"},
    "a test with a name too long": _end(duration_s=1.0) | {"test": "x" * 5000},
    "names as long as they may be": _end(agent="a" * 256, slot="s" * 256) | {"test": "x" * 1024},
}


@pytest.mark.parametrize("what", ABSURD)
@in_the_lab
async def test_an_absurd_end_does_not_stop_the_leader(lab: Bus, what: str) -> None:
    data = json.dumps(ABSURD[what]).encode()
    await lab.requests.publish(subjects.event("acme", "r_1", "j_1", 1, "state"), data)
    await _works_on(lab)


@in_the_lab
async def test_an_end_may_not_speak_for_a_job_that_stands_elsewhere(lab: Bus) -> None:
    run = planned(1, runner="noop", requires=("nowhere",))
    await submit(lab, run)
    await counts_reached(lab, run.run_id, {"queued": 1})
    spec = run.specs[0]
    speaks = {"org_id": spec.org_id, "run_id": spec.run_id, "job_id": spec.job_id}
    data = json.dumps(_end() | speaks).encode()
    await lab.requests.publish(subjects.event("acme", "r_1", "j_1", 1, "state"), data)
    await is_set_aside(lab, streams.EVENTS, "does not belong")
    request = CancelRequest(id=spec.job_id, by="test").encode()
    answer = CtlAnswer.decode((await lab.requests.request(subjects.ctl("cancel"), request)).data)
    assert answer.affected == (spec.job_id,), "the job was forgotten"


@in_the_lab
async def test_a_job_that_requires_more_labels_than_name_a_group_is_set_aside(lab: Bus) -> None:
    spec = planned(1, runner="noop").specs[0]
    labels = [f"label-{number:03d}-{'x' * 50}" for number in range(80)]
    fields = json.loads(JobMessage(spec=spec).encode())
    fields["spec"]["requires"] = labels
    subject = subjects.job("medium", spec.org_id, spec.job_id)
    await lab.requests.publish(subject, json.dumps(fields).encode())
    await is_set_aside(lab, streams.JOBS, "requires")
    await _works_on(lab)


async def test_slots_with_the_longest_names_are_bound_and_shown(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=1) as (_, bus):
        run = planned(1, runner="noop", requires=("far-away",))
        await submit(bus, run)
        report = SlotNext(agent="a" * 256, slot="s" * 256, state="idle", driver="none", labels=("far-away",))
        await bus.nc.publish(subjects.slot_next(report.agent, report.slot), report.encode())

        async def shown() -> bool:
            seen = await overview(bus)
            return seen is not None and any(f"{'a' * 256}/{'s' * 256}" in g.slots for g in seen.groups)

        await wait_for(shown, 10, "the slot in the overview")
        await _works_on(bus)


@pytest.mark.parametrize(
    ("field", "digits"),
    [("attempt", 4200), ("position", 400), ("max_parallel", 400), ("infra_retries", 400)],
)
@in_the_lab
async def test_a_number_beyond_all_bounds_stops_neither_leader_nor_projection(
    lab: Bus, field: str, digits: int
) -> None:
    spec = planned(1, runner="noop").specs[0]
    fields = json.loads(JobMessage(spec=spec).encode())
    (fields if field in fields else fields["spec"])[field] = 0
    data = json.dumps(fields).replace(f'"{field}": 0', f'"{field}": 1{"0" * digits}', 1)
    await lab.requests.publish(subjects.job("medium", spec.org_id, spec.job_id), data.encode())
    await is_set_aside(lab, streams.JOBS, field)
    await _works_on(lab)


@in_the_lab
async def test_an_agent_may_not_speak_for_another(lab: Bus) -> None:
    run = planned(1, runner="noop", requires=("far-away",))
    await submit(lab, run)
    report = SlotNext(agent="other", slot="s0", state="idle", driver="none", labels=("far-away",))
    await lab.nc.publish(subjects.slot_next("mine", "s0"), report.encode())
    gone = Heartbeat(agent="lab-1", host="h", pid=1, version="1", started_at=1, at=1, state="gone")
    for name in ("mine", "lab-1x"):
        await kv.put(lab, streams.AGENTS_BUCKET, name, gone.encode())

    await _works_on(lab)  # so it was read
    seen = await overview(lab)
    assert seen
    assert not any("other/s0" in group.slots for group in seen.groups)


async def _works_on(bus: Bus) -> None:
    """Jobs run, and no reign has ended: the one before would have met the same again, and so on."""
    run = planned(3, runner="noop")
    await submit(bus, run)
    await counts_reached(bus, run.run_id, {"passed": 3})
    seen = await overview(bus)
    assert seen
    assert seen.leader
    assert seen.leader.epoch == 1


@in_the_lab
async def test_a_control_request_is_answered_whatever_it_says(lab: Bus) -> None:
    answer = CtlAnswer.decode((await lab.requests.request(subjects.ctl("cancel"), b"rubbish")).data)
    assert answer.problem
    assert answer.problem.code == "bad_request"
    unknown = CancelRequest(id="j_unknown", by="test").encode()
    answer = CtlAnswer.decode((await lab.requests.request(subjects.ctl("cancel"), unknown)).data)
    assert answer.problem
    assert answer.problem.code == "not_found"
    answer = CtlAnswer.decode((await lab.requests.request(subjects.ctl("explode"), b"{}")).data)
    assert answer.problem
    assert "explode" in answer.problem.message


async def test_a_run_of_which_a_part_is_missing_is_refused_as_a_whole(tmp_path: Path) -> None:
    quick = ("--open-run", "1")
    async with (
        system(tmp_path, agents=1, slots=2, scheduler_args=quick) as (_, bus),
        EventRecorder().watching(bus) as witness,
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
        await counts_reached(bus, run.run_id, {"passed": 1700})


async def test_a_submit_repeated_after_its_answer_was_lost_adds_nothing(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=2) as (_, bus), EventRecorder().watching(bus) as witness:
        for count in (1, 40):
            run = planned(count, runner="noop")
            await submit(bus, run)
            await counts_reached(bus, run.run_id, {"passed": count})
            await submit(bus, run)
            await submit(bus, run)
            after = planned(1, runner="noop")
            await submit(bus, after)
            await counts_reached(bus, after.run_id, {"passed": 1})
            for spec in run.specs:
                assert sum(e.kind == "started" for e in witness.events[spec.job_id]) <= 1
                assert witness.ends[spec.job_id] == 1
            await counts_reached(bus, run.run_id, {"passed": count})
