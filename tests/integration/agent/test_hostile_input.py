"""What cannot be right, on a whole lab: the right outcome and reason, and the next job is not affected."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import time
import zipfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from bus_schemas.builds import ArchiveFormat, BuildRecord, build_key
from bus_schemas.jobs import BlobRef
from bus_schemas.queries import JobView
from bus_schemas.streams import BUILD_OBJECTS, BUILDS_BUCKET, BUNDLE_OBJECTS
from qgjob.bus import kv, objects
from qgjob.bus.connect import Bus
from qgjob.cli.display.output import clean_log
from qgjob.client import Client
from qgjob.client.models import WaitOptions
from qgjob.client.submitting.publish_run import PlannedRun
from qgjob.clock import SystemClock
from tests.support.pipeline import system
from tests.support.runs import planned, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

Make = Callable[[], bytes]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Bus]:
    async with system(tmp_path_factory.mktemp("up"), agents=1, slots=1, scheduler_args=()) as (_, bus):
        yield bus


def tar_of(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, link
        archive.addfile(entry)
    return whole.getvalue()


def bomb() -> bytes:
    """Some hundred KiB that would be a thousand times as much."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("zeros", bytes(96 * 2**20))
    return whole.getvalue()


def tar_bomb() -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz", compresslevel=1) as archive:
        entry = tarfile.TarInfo("zeros")
        entry.size = 96 * 2**20
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    return whole.getvalue()


async def stored(bus: Bus, bucket: str, folder: Path, data: bytes) -> BlobRef:
    """Put into the store past all checks of our own client."""
    path = folder / "blob"
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    await objects.put_file(bus, bucket, path, digest)
    return BlobRef(digest=digest, size=len(data))


async def came_to(bus: Bus, run: PlannedRun) -> JobView:
    await submit(bus, run)
    waited = await Client(bus, SystemClock()).wait(run.run_id, WaitOptions(timeout_s=60))
    (job,) = waited.jobs
    return job


async def works(bus: Bus) -> bool:
    """Whether the slot goes on as if nothing had been."""
    return (await came_to(bus, planned(1, runner="command", argv=("true",)))).state == "passed"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: tar_of("../evil"), "archive_unsafe"),
        (lambda: tar_of("/tmp/evil"), "archive_unsafe"),
        (lambda: tar_of("out", tarfile.SYMTYPE, "/tmp"), "archive_unsafe"),
        (lambda: tar_of("dev", tarfile.CHRTYPE), "archive_unsafe"),
        (tar_bomb, "archive_too_large"),
        (lambda: b"no archive", "archive_corrupt"),
        (lambda: tar_of("t.py")[:40], "archive_corrupt"),
    ],
    ids=["dots", "absolute", "link", "device", "bomb", "nonsense", "cut off"],
)
async def test_a_bundle(bus: Bus, tmp_path: Path, make: Make, reason: str) -> None:
    blob = await stored(bus, BUNDLE_OBJECTS, tmp_path, make())
    job = await came_to(bus, planned(1, runner="auto", bundle=blob))
    assert (job.state, job.reason) == ("errored", reason)
    assert len(job.attempts) == 1, "it would be the same on every slot"
    assert await works(bus)


@pytest.mark.parametrize(
    ("name", "format_", "make", "reason"),
    [
        ("app.zip", "zip", bomb, "build_too_large"),
        ("app.tar.gz", "tar.gz", lambda: tar_of("../evil"), "build_unsafe"),
        ("app.zip", "zip", lambda: b"PK\x03\x04 and no more", "build_corrupt"),
    ],
    ids=["bomb", "dots", "cut off"],
)
async def test_a_build(
    bus: Bus, tmp_path: Path, name: str, format_: ArchiveFormat, make: Make, reason: str
) -> None:
    version = f"bad-{reason}-{format_}"
    record = BuildRecord(
        org_id="bench",
        app_version_id=version,
        blob=await stored(bus, BUILD_OBJECTS, tmp_path, make()),
        file_name=name,
        format=format_,
        uploaded_at=time.time(),
    )
    await kv.put(bus, BUILDS_BUCKET, build_key("bench", version), record.encode())
    job = await came_to(bus, planned(1, runner="command", app=version, argv=("true",)))
    assert (job.state, job.reason) == ("errored", reason)
    assert len(job.attempts) == 1
    assert await works(bus)


@pytest.mark.parametrize(
    ("runner", "reason", "words", "advice"),
    [
        ("unheard-of", "runner_missing", "no runner unheard-of; it has appium-pytest", ""),
        ("maestro", "tool_missing", "Maestro", "Install"),
        ("playwright", "tool_missing", "@playwright/test", "QGJOB_AGENT_NODE"),
    ],
)
async def test_a_runner_that_is_not_there(
    bus: Bus, tmp_path: Path, runner: str, reason: str, words: str, advice: str
) -> None:
    blob = await stored(bus, BUNDLE_OBJECTS, tmp_path, tar_of("t0.py"))
    run = planned(1, runner=runner, bundle=blob)
    run.specs[0] = run.specs[0].model_copy(update={"infra_retries": 0})
    job = await came_to(bus, run)
    assert (job.state, job.reason) == ("errored", reason)
    assert words in (job.message or "")
    chunks = [chunk async for chunk in Client(bus, SystemClock()).logs(job.job_id)]
    assert advice in "".join(part for chunk in chunks for _, part in chunk.parts)
    assert await works(bus)


async def test_control_sequences_in_a_log_reach_no_terminal(bus: Bus, tmp_path: Path) -> None:
    code = "import os; os.write(1, b'\\x1b]0;owned\\x07\\x1b[2J\\x00\\xff ok\\n' * 3)"
    job = await came_to(bus, planned(1, runner="command", argv=(sys.executable, "-c", code)))
    assert job.state == "passed"
    chunks = [chunk async for chunk in Client(bus, SystemClock()).logs(job.job_id)]
    text = "".join(part for chunk in chunks for _, part in chunk.parts)
    assert text.count(" ok\n") == 3
    shown = clean_log(text)
    assert "\x1b" not in shown
    assert "\x07" not in shown


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ('mkfifo "$QGJOB_JUNIT_FILE"', "it is no plain file"),
        ("echo '<testsuite><testcase' > \"$QGJOB_JUNIT_FILE\"", "it is no whole XML document"),
        ("echo '<!DOCTYPE a []><a/>' > \"$QGJOB_JUNIT_FILE\"", "it declares a document type"),
    ],
    ids=["pipe", "cut off", "entities"],
)
async def test_a_report_that_cannot_be_read_is_said_in_the_log(bus: Bus, left: str, said: str) -> None:
    job = await came_to(bus, planned(1, runner="command", argv=("sh", "-c", left)))
    assert job.state == "passed"
    chunks = [chunk async for chunk in Client(bus, SystemClock()).logs(job.job_id)]
    assert said.removeprefix("it ") in "".join(part for chunk in chunks for _, part in chunk.parts)
    assert await works(bus)


async def test_a_pass_whose_report_has_failures_says_so(bus: Bus) -> None:
    report = "<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>"
    script = f'echo "{report}" > "$QGJOB_JUNIT_FILE"'
    job = await came_to(bus, planned(1, runner="command", argv=("sh", "-c", script)))
    assert (job.state, job.message) == (
        "passed",
        "it ended with exit code 0, but 1 of 2 cases in its report failed",
    )
