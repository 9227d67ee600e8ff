"""What a producer's credentials must allow for a CI step to work, and that they need no more."""

from __future__ import annotations

import asyncio
import hashlib
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from agent.reports.stored import store_cases
from bus_schemas import subjects
from bus_schemas.artifacts import Artifact
from bus_schemas.cases import CaseReport
from bus_schemas.deadletters import DeadLettersQuery
from bus_schemas.events import Attempt
from bus_schemas.jobs import BlobRef
from bus_schemas.streams import ARTIFACT_OBJECTS, JOBS
from qgjob.bus.connect import open_bus
from qgjob.bus.deadletters import set_aside
from qgjob.bus.objects import put_file
from qgjob.bus.topology import ensure_topology
from qgjob.client import Client, SubmitRequest, WaitOptions, open_client
from qgjob.client.requests.artifacts import JobArtifact
from qgjob.errors import NotAllowedError, QgjobError, UnreachableError
from qgjob.scheduler.queries.dead_letters import DeadLetters, read_letters
from tests.support.accounts import AccountsServer
from tests.support.fake_scheduler import FakeScheduler
from tests.support.views import ended
from tests.support.wait import wait_for

JOB = "j_00000000000000000000000000"


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[AccountsServer]:
    server = AccountsServer(tmp_path / "nats")
    try:
        await server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
async def scheduler(guarded: AccountsServer) -> AsyncIterator[FakeScheduler]:
    async with open_bus(guarded.user("lab")) as bus:
        await ensure_topology(bus)
        async with FakeScheduler(bus) as answering:
            yield answering


@pytest.fixture
async def ci(scheduler: FakeScheduler, guarded: AccountsServer) -> AsyncIterator[Client]:
    del scheduler
    async with open_client(guarded.user("ci")) as client:
        yield client


async def test_what_jobs_left_may_be_read_and_not_written(ci: Client, guarded: AccountsServer, folder: Path):
    (folder / "shot").write_bytes(b"x" * 300_000)
    digest = hashlib.sha256(b"x" * 300_000).hexdigest()
    report = CaseReport(job_id="j1", attempt=1, runner="pytest", cases=())
    async with open_bus(guarded.user("lab")) as bus:
        await put_file(bus, ARTIFACT_OBJECTS, folder / "shot", digest)
        stored = await store_cases(bus, folder, report)
    found = JobArtifact("j1", 1, Artifact(name="shot.png", blob=BlobRef(digest=digest, size=300_000)))
    place = await ci.download_artifact(found, folder / "here")
    assert place.stat().st_size == 300_000
    assert await ci.cases(Attempt(number=1, report=stored)) == report
    assert ci.bus.denied == []
    (folder / "other").write_bytes(b"y")
    with pytest.raises(QgjobError):
        await put_file(ci.bus, ARTIFACT_OBJECTS, folder / "other", hashlib.sha256(b"y").hexdigest())


async def test_a_ci_step_needs_no_more(ci: Client, scheduler: FakeScheduler, folder: Path):
    (folder / "bundle").write_bytes(b"x" * 200_000)
    bundle = await ci.upload_bundle(folder / "bundle")
    assert await ci.upload_bundle(folder / "bundle") == bundle
    request = SubmitRequest(
        org_id="acme", app_version_id="1", tests=["a.py", "b.py"], bundle=bundle, run_key="k"
    )
    submitted = await ci.submit(request)
    assert (await ci.submit(request)).accepted_before
    for job in submitted.jobs:
        scheduler.add_job(job, run_size=2)
    waiting = asyncio.create_task(ci.wait(submitted.run_id, WaitOptions(no_slot_grace_s=None)))
    await wait_for(lambda: "get" in scheduler.asked)
    for job in submitted.jobs:
        await scheduler.publish_event(ended(job, "passed"))
    assert (await asyncio.wait_for(waiting, 10)).verdict == 0
    await ci.cancel(submitted.run_id)
    assert [chunk async for chunk in ci.logs(submitted.jobs[0].job_id)] == []
    assert ci.bus.denied == []


async def test_builds_need_a_right_of_their_own(ci: Client, tmp_path: Path, folder: Path):
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(NotAllowedError):
        await ci.upload_app(folder / "a.zip", org_id="acme", app_version_id="1")
    server = AccountsServer(tmp_path / "uploads", uploads=True)
    try:
        await server.start()
        async with open_bus(server.user("lab")) as bus, open_client(server.user("ci")) as client:
            await ensure_topology(bus)
            record = await client.upload_app(folder / "a.zip", org_id="acme", app_version_id="1")
            assert await client.builds() == [record]
            assert client.bus.denied == []
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("role", "asked", "sentence"),
    [
        ("view", "cancel", r"User view of account VIEW may not send control requests \(publish to qg\.ctl\."),
        ("view", "upload_bundle", r"User view of account VIEW may not submit runs \(publish to .*bundle"),
        ("view", "upload_app", r"User view of account VIEW may not upload builds \(publish to \$KV\."),
        ("ci", "upload_app", r"User ci of account CI may not upload builds \(publish to \$O\."),
        (
            "agent",
            "jobs",
            r"no scheduler answers user agent of account AGENTS: none runs, or that role may not",
        ),
    ],
)
async def test_who_has_the_credentials_of_another_role_is_told_whose_and_what_is_missing(
    scheduler: FakeScheduler, guarded: AccountsServer, folder: Path, role: str, asked: str, sentence: str
):
    del scheduler
    (folder / "app").write_bytes(b"x")
    async with open_client(guarded.user(role)) as client:
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "cancel": lambda: client.cancel(JOB),
            "upload_bundle": lambda: client.upload_bundle(folder / "app"),
            "upload_app": lambda: client.upload_app(folder / "app", org_id="acme", app_version_id="1"),
            "jobs": client.jobs,
        }
        with pytest.raises(UnreachableError if role == "agent" else NotAllowedError, match=sentence):
            await calls[asked]()


async def test_who_looks_is_told_of_every_request_that_changes_something(guarded: AccountsServer):
    """Each is named in the accounts: one that is forgotten goes nowhere, and seems to meet no scheduler."""
    async with open_client(guarded.user("view")) as client:
        changes: list[Awaitable[object]] = [
            client.cancel(JOB),
            client.retry(JOB),
            client.reprioritise(JOB, 9),
            client.pause_queue(),
            client.resume_queue(),
            client.limit_org("acme", max_running=1),
            client.hold("drain", "lab-1"),
            client.resume_build("acme", "v1"),
            client.drop_dead_letters(1),
            client.bus.requests.request(subjects.ctl("cron_add", "acme")),
            client.bus.requests.request(subjects.ctl("cron_delete")),  # the client asks for the list first
        ]
        for refused in await asyncio.gather(*changes, return_exceptions=True):
            assert isinstance(refused, NotAllowedError), refused
            assert "User view of account VIEW may not send control requests" in refused.message


async def test_dead_letters_are_seen_and_dropped_by_asking(guarded: AccountsServer):
    async with open_bus(guarded.user("lab")) as bus, open_client(guarded.user("ci")) as client:
        await ensure_topology(bus)
        leader = DeadLetters(bus, lambda: None)

        async def asked(msg: Msg) -> None:
            answer = await read_letters(bus, DeadLettersQuery.decode(msg.data), 2**20)
            await msg.respond(answer.encode())

        async def told(msg: Msg) -> None:
            await msg.respond((await leader.drop(msg.data)).encode())

        await bus.nc.subscribe(subjects.query("dead_letters"), cb=asked)
        await bus.nc.subscribe(subjects.ctl("dead_letters_drop"), cb=told)
        await bus.requests.round_trip(timeout=5)
        await set_aside(bus, JOBS, "qg.jobs.high.a.1", b"rubbish", "no job")
        ((letter,), total) = await client.dead_letters()
        assert (total, await client.dead_letter(letter.number)) == (1, letter)
        assert await client.drop_dead_letters() == 1
        assert client.bus.denied == []
