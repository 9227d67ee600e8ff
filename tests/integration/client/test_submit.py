from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bus_schemas import streams, subjects
from bus_schemas.jobs import JobMessage, RunMarker
from bus_schemas.lab import SlotsAnswer
from bus_schemas.queries import Query
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.publish import OutMsg, expect
from qgjob.bus.publisher import publish_each
from qgjob.bus.requester import PubAck, RequestTimeoutError
from qgjob.bus.topology import ensure_topology, list_subjects, stream_state
from qgjob.client import Client, ServerOptions, SubmitRequest, open_client
from qgjob.client.requests.request import ask as ask_scheduler
from qgjob.client.submitting import publish_run
from qgjob.client.submitting.publish_run import PlannedRun, cut
from qgjob.client.submitting.submit import digest_of, make_specs, submit
from qgjob.errors import RefusedError, UnreachableError
from tests.support.clock import ManualClock
from tests.support.proxy import Proxy
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from nats.aio.msg import Msg

ORG = "acme gmbh.*>"


def request(count: int, *, key: str | None = "build-17") -> SubmitRequest:
    return SubmitRequest(
        org_id=ORG, app_version_id="v1", tests=[f"tests/t{n}.py" for n in range(count)], run_key=key
    )


async def jobs_in(client: Client) -> list[str]:
    found = await list_subjects(client.bus, streams.JOBS, "qg.jobs.*.*.*")
    return sorted(subject for subject in found if not subject.startswith("qg.jobs.run."))


async def stored(client: Client) -> int:
    return int((await stream_state(client.bus, streams.JOBS))["messages"])


async def marker_of(client: Client, run_id: str) -> RunMarker:
    found = await kv.get_last(client.bus, streams.JOBS, subjects.run_marker(ORG, run_id))
    assert found is not None
    return RunMarker.decode(found.data)


@pytest.mark.parametrize("count", [1, 2, 498, 499, 1700])
async def test_all_jobs_of_a_run_are_in(client: Client, count: int):
    submitted = await client.submit(request(count))
    assert len(submitted.jobs) == count
    assert not submitted.accepted_before
    assert await jobs_in(client) == sorted(subjects.job("medium", ORG, job.job_id) for job in submitted.jobs)
    marker = await marker_of(client, submitted.run_id)
    assert (marker.state, marker.size) == ("complete", count)


@pytest.mark.parametrize("count", [2, 1700])
async def test_a_repeated_submit_adds_nothing(client: Client, count: int):
    first = await client.submit(request(count))
    before = await stored(client)
    again = await client.submit(request(count))
    assert await stored(client) == before
    assert again.accepted_before
    assert (again.run_id, again.jobs[0].job_id) == (first.run_id, first.jobs[0].job_id)


@pytest.mark.parametrize(("age", "sent"), [(3600, 1), (25 * 3600, 0)])
async def test_a_job_that_may_have_ended_long_ago_is_not_sent_again(client: Client, age: int, sent: int):
    """Its end is known for a day, its run key for a week: by then nobody could tell that it ran."""
    clock = ManualClock(time.time() - age)
    first = await submit(client.bus, request(1), clock=clock)
    (subject,) = await jobs_in(client)
    await client.bus.requests.api(f"STREAM.PURGE.{streams.JOBS}", {"filter": subject})
    again = await client.submit(request(1))
    assert again.accepted_before
    assert again.run_id == first.run_id
    assert len(await jobs_in(client)) == sent


@pytest.mark.parametrize("count", [1, 5, 1700])
async def test_a_submit_whose_answers_are_lost_is_stored_once(
    nats_server: NatsServer, client: Client, monkeypatch: pytest.MonkeyPatch, count: int
):
    """The server stores it and says so; nothing of that arrives, and the connection breaks."""
    monkeypatch.setattr(publish_run, "_ANSWER_TIMEOUT_S", 0.3)
    async with Proxy(nats_server.port) as proxy, open_client(ServerOptions(proxy.url)) as far:
        seq = int((await stream_state(client.bus, streams.JOBS))["last_seq"])

        async def something_is_stored() -> bool:
            return int((await stream_state(client.bus, streams.JOBS))["last_seq"]) > seq

        with proxy.outage():
            submitting = asyncio.create_task(far.submit(request(count)))
            await wait_for(something_is_stored)
            await wait_for(lambda: proxy.swallowed, what="the answer")
        submitted = await submitting
    assert not submitted.accepted_before
    assert len(await jobs_in(client)) == count


async def test_a_run_key_stands_for_one_run(client: Client):
    await client.submit(request(3))
    before = await stored(client)
    with pytest.raises(RefusedError, match="already used"):
        await client.submit(request(4))
    with pytest.raises(RefusedError, match="already used"):
        await client.submit(replace(request(3), app_version_id="v2"))
    assert await stored(client) == before


async def test_the_same_key_of_another_organisation_is_another_run(client: Client):
    one = await client.submit(request(1))
    other = await client.submit(replace(request(1), org_id="other"))
    assert one.run_id != other.run_id


@pytest.mark.parametrize("parts_in", [1, 2, 3])
async def test_a_submit_that_broke_off_goes_on_where_it_stopped(client: Client, parts_in: int):
    """Some batches of 1,700 jobs are in, the client died; the step is repeated."""
    publisher = planned(client, 1700)
    await publisher.store_parts(parts_in)
    assert len(await jobs_in(client)) == 498 * parts_in
    submitted = await client.submit(request(1700))
    assert not submitted.accepted_before
    assert len(await jobs_in(client)) == 1700
    assert (await marker_of(client, submitted.run_id)).state == "complete"


@pytest.mark.parametrize("count", [1, 5, 1700])
async def test_a_run_that_the_scheduler_refused_is_refused(client: Client, count: int):
    publisher = planned(client, count)
    await publisher.refuse()
    before = await stored(client)
    with pytest.raises(RefusedError, match="given up"):
        await client.submit(request(count))
    assert await stored(client) == before


async def test_a_run_refused_between_two_batches_is_refused(client: Client):
    publisher = planned(client, 1700)
    await publisher.store_parts(2)
    await publisher.refuse(after=1)
    with pytest.raises(RefusedError, match="given up"):
        await client.submit(request(1700))
    marker = await marker_of(client, publisher.run_id)
    assert marker.state == "refused"


async def test_a_job_that_is_too_large_stops_the_whole_run(client: Client):
    huge = replace(request(40), env={f"V{n}": "x" * 32_000 for n in range(300)})
    with pytest.raises(RefusedError, match="the server takes"):
        await client.submit(huge)
    assert await stored(client) == 0


async def test_jobs_with_large_environments_go_in_several_batches(client: Client):
    await client.submit(replace(request(90), env={f"V{n}": "x" * 30_000 for n in range(10)}))
    assert len(await jobs_in(client)) == 90


async def test_without_streams_it_says_what_to_start(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(publish_run, "NO_STREAM_S", 0.3)
    async with open_client(ServerOptions(nats_server.url)) as client:
        with pytest.raises(UnreachableError, match="streams are not") as caught:
            await client.submit(request(3))
    assert "qgjob up" in (caught.value.hint or "")


async def test_a_server_that_restarts_meanwhile_is_sat_out(
    client: Client, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(publish_run, "_ANSWER_TIMEOUT_S", 0.5)
    nats_server.kill()
    submitting = asyncio.create_task(client.submit(request(1700)))
    await nats_server.start()
    submitted = await submitting
    await ensure_topology(client.bus)
    assert len(await jobs_in(client)) == 1700
    assert (await marker_of(client, submitted.run_id)).state == "complete"


async def test_priorities_go_to_their_class(client: Client):
    for priority in (1, 5, 10):
        await client.submit(replace(request(1, key=None), priority=priority))
    classes = sorted(subject.split(".")[2] for subject in await jobs_in(client))
    assert classes == ["high", "low", "medium"]


async def test_a_job_message_reads_back(client: Client):
    submitted = await client.submit(replace(request(2), target="device", requires=("gpu",), env={"A": "ü"}))
    subject = subjects.job("medium", ORG, submitted.jobs[1].job_id)
    found = await kv.get_last(client.bus, streams.JOBS, subject)
    assert found is not None
    message = JobMessage.decode(found.data)
    assert message.spec.requires == ("device", "gpu")
    assert message.spec.env == {"A": "ü"}
    assert message.spec.position == 1


class Planned:
    """The parts of a submit, to be stored one by one as an earlier client did."""

    def __init__(self, client: Client, count: int) -> None:
        self.client = client
        self.specs = make_specs(request(count), 1.0)
        self.run_id = self.specs[0].run_id
        self.run = PlannedRun(
            run_id=self.run_id,
            org_id=ORG,
            specs=self.specs,
            digest=digest_of(self.specs),
            name=None,
            meta={},
            created_at=1.0,
        )
        self.parts = len(cut(self.specs))
        self.seq = 0

    async def store_parts(self, count: int) -> None:
        publisher = publish_run._Publisher(self.client.bus, self.run, self.client.clock)  # pyright: ignore[reportPrivateUsage]
        messages = publisher._parts  # pyright: ignore[reportPrivateUsage]
        marker = publisher._marker("open", 0)  # pyright: ignore[reportPrivateUsage]
        await publisher._store([marker, *messages[0]])  # pyright: ignore[reportPrivateUsage]
        for part in messages[1:count]:
            await publisher._store(part)  # pyright: ignore[reportPrivateUsage]

    async def refuse(self, *, after: int = 0) -> None:
        marker = RunMarker(
            run_id=self.run_id,
            org_id=ORG,
            state="refused",
            size=len(self.specs),
            parts=self.parts,
            digest=self.run.digest,
            created_at=1.0,
        )
        subject = subjects.run_marker(ORG, self.run_id)
        await self.client.bus.requests.publish(subject, marker.encode(), headers=expect(after))


def planned(client: Client, count: int) -> Planned:
    return Planned(client, count)


async def test_marker_and_job_of_a_fresh_run_of_one_go_out_together(
    client: Client, monkeypatch: pytest.MonkeyPatch
):
    """Whoever is killed in the middle of a submit leaves no run behind that waits for a job for ever."""
    sent: list[tuple[str, asyncio.Future[Msg]]] = []
    send = client.bus.requests.send

    async def noted(
        subject: str, payload: bytes = b"", *, headers: Mapping[str, str] | None = None, timeout: float = 5.0
    ) -> asyncio.Future[Msg]:
        if subject.startswith("qg.jobs.") and ".run." not in subject:
            assert not any(answer.done() for name, answer in sent if ".run." in name)
        future = await send(subject, payload, headers=headers, timeout=timeout)
        sent.append((subject, future))
        return future

    monkeypatch.setattr(client.bus.requests, "send", noted)
    submitted = await client.submit(request(1, key=None))
    ours = [name for name, _ in sent if name.startswith("qg.jobs.")]
    assert ours == [
        subjects.run_marker(ORG, submitted.run_id),
        subjects.job("medium", ORG, submitted.jobs[0].job_id),
    ]
    assert (await marker_of(client, submitted.run_id)).state == "complete"


@pytest.mark.parametrize("stored_before", ["marker", "job", "both"])
async def test_a_fresh_run_of_one_of_which_answers_were_lost_is_stored_once(
    client: Client, monkeypatch: pytest.MonkeyPatch, stored_before: str
):
    async def lost(bus: Bus, messages: list[OutMsg], *, timeout: float = 5.0) -> list[PubAck]:
        marker, job = messages
        there = {"marker": [marker], "job": [job], "both": [marker, job]}[stored_before]
        await publish_each(bus, there, timeout=timeout)
        raise RequestTimeoutError("no answer")

    monkeypatch.setattr("qgjob.client.submitting.publish_run.publish_each", lost)
    submitted = await client.submit(request(1, key=None))
    assert not submitted.accepted_before
    assert await jobs_in(client) == [subjects.job("medium", ORG, submitted.jobs[0].job_id)]
    assert await stored(client) == 2


async def test_a_scheduler_that_is_silent_is_not_asked_for_longer_than_is_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
):
    async def hear(msg: Msg) -> None:
        del msg

    await client.bus.nc.subscribe(subjects.ctl("slots"), cb=hear)
    patience: list[float] = []
    ask = client.bus.requests.request

    async def noted(
        subject: str, payload: bytes = b"", *, headers: Mapping[str, str] | None = None, timeout: float = 5.0
    ) -> Msg:
        patience.append(timeout)
        return await ask(subject, payload, headers=headers, timeout=timeout)

    monkeypatch.setattr(client.bus.requests, "request", noted)
    with pytest.raises(UnreachableError, match="does not answer in time"):
        await ask_scheduler(client.bus, subjects.ctl("slots"), Query(), SlotsAnswer, timeout=1.0)
    assert sum(patience[:2]) <= 1.6
