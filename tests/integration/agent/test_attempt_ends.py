"""An attempt ends as it was asked to, whenever that was asked, and whatever goes wrong around it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.attempts import artifacts, steps, watching
from agent.attempts.attempt import AttemptRunner
from agent.attempts.claim import Claim, claim
from agent.attempts.outcome import Outcome
from agent.attempts.steps import Steps
from agent.config.settings import ArtifactLimits, JobLimits
from agent.drivers import guarded
from agent.drivers.base import InstalledApp
from agent.errors import FetchError
from agent.launch import JobDirs
from bus_schemas.jobs import JobMessage
from bus_schemas.streams import ARTIFACT_OBJECTS
from qgjob.bus import objects
from qgjob.bus.connect import Bus
from tests.support.runs import planned
from tests.support.slots import runner_in


async def claimed(bus: Bus, runner: AttemptRunner, message: JobMessage) -> Claim:
    runner.prepare_for_next()
    held = await claim(bus, message, runner.who, "running")
    assert held is not None
    return held


async def ran(runner: AttemptRunner, held: Claim) -> Outcome | None:
    return await runner.run(held, "qg.no_ack", 30.0, since=asyncio.get_running_loop().time())


@pytest.mark.parametrize("stopped", [False, True])
async def test_what_is_asked_while_an_attempt_is_claimed_is_done(
    bus: Bus, tmp_path: Path, *, stopped: bool
) -> None:
    runner = await runner_in(bus, tmp_path, tmp_path / "work")
    for asked in (True, False):  # and the next attempt does not suffer for it
        argv = ("60",) if asked else ("0",)
        message = JobMessage(spec=planned(1, runner="sleep", argv=argv).specs[0])
        held = await claimed(bus, runner, message)
        if asked:
            if stopped:
                runner.hand_back()
            else:
                runner.cancel("enough")
        async with asyncio.timeout(10):
            outcome = await ran(runner, held)
        if not asked:
            assert outcome is not None
            assert outcome.state == "passed"
        elif stopped:
            assert outcome is None
        else:
            assert outcome is not None
            assert (outcome.state, outcome.result.message) == ("cancelled", "enough")
    await runner.close()


async def test_a_folder_that_cannot_be_made_is_the_attempts_trouble_not_the_agents(
    bus: Bus, tmp_path: Path
) -> None:
    (tmp_path / "full").write_text("no folder")
    runner = await runner_in(bus, tmp_path, tmp_path / "full" / "work")
    message = JobMessage(spec=planned(1, runner="auto", argv=("true",)).specs[0])
    held = await claimed(bus, runner, message)
    outcome = await ran(runner, held)
    assert outcome is not None
    assert (outcome.state, outcome.result.reason) == ("errored", "agent_error")
    assert outcome.retryable
    await runner.close()


async def test_a_cancellation_that_is_nobodys_ends_the_attempt_and_not_the_slot(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(Steps, "run", cancelled)
    runner = await runner_in(bus, tmp_path, tmp_path / "work")
    message = JobMessage(spec=planned(1, runner="sleep", argv=("0",)).specs[0])
    held = await claimed(bus, runner, message)
    outcome = await ran(runner, held)
    assert outcome is not None
    assert (outcome.state, outcome.retryable) == ("errored", True)
    await runner.close()


async def test_a_driver_that_never_starts_the_app_does_not_keep_its_slot(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(steps, "DRIVER_GRACE_S", 0.05)
    runner = await runner_in(bus, tmp_path, tmp_path / "work", JobLimits(install_timeout_s=1.0))
    doubts: list[str] = []
    runner.device.on_doubt = doubts.append
    monkeypatch.setattr(runner.device, "start_app", hangs)
    message = JobMessage(spec=planned(1, runner="command", argv=("true",)).specs[0])
    held = await claimed(bus, runner, message)
    async with asyncio.timeout(20):
        outcome = await ran(runner, held)
    assert outcome is not None
    assert (outcome.state, outcome.result.reason, outcome.retryable) == ("errored", "start_timeout", True)
    assert doubts, "its device is looked at before it gets more work"
    await runner.close()


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("call", ["prove", "evidence", "settle", "health"])
async def test_a_drivers_mistake_costs_its_device_a_rest_and_not_the_job_its_result(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, *, hangs: bool
) -> None:
    async def broken(*_: object) -> None:
        await asyncio.sleep(3600 if hangs else 0)
        raise KeyError(call)

    monkeypatch.setattr(guarded, "CALL_S", 0.05 if hangs else 60)
    runner = await runner_in(bus, tmp_path, tmp_path / "work")
    doubts: list[str] = []
    runner.device.on_doubt = doubts.append
    monkeypatch.setattr(runner.device, call, broken)
    message = JobMessage(spec=planned(1, runner="command", argv=("false",)).specs[0])
    assert await runner.phase(message) == "preparing"
    outcome = await ran(runner, await claimed(bus, runner, message))
    assert outcome is not None
    # What failed on a device that does not answer is the lab's trouble.
    assert outcome.result.reason == ("device_lost" if call == "health" else "test_failed")
    assert doubts == [f"the driver met an error: {'TimeoutError' if hangs else repr(call)}"]
    await runner.close()


async def test_a_driver_that_cannot_say_what_is_installed_ends_no_agent(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Sequence[InstalledApp]:
        raise KeyError("v1")

    runner = await runner_in(bus, tmp_path, tmp_path / "work")
    doubts: list[str] = []
    runner.device.on_doubt = doubts.append
    monkeypatch.setattr(runner.device, "installed", broken)
    assert runner.installed() == ()
    assert doubts
    await runner.close()


@pytest.mark.parametrize(
    ("most", "room", "said"),
    [
        (10**6, (9_000,), "the disk has room for 9,000 more files, and the test made 1,5"),
        (1_000, range(10**6, 10**5, -600), "the test made more than 1,000 files"),
    ],
    ids=["none left", "too many"],
)
async def test_a_test_that_makes_files_without_end_is_ended(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, room: Sequence[int], said: str
) -> None:
    left = itertools.chain(room, itertools.repeat(room[-1]))
    made = tmp_path / "made"
    disk = {"f_bavail": 2**40, "f_bfree": 2**40, "f_blocks": 2**41, "f_frsize": 1, "f_files": 2**20}

    def statvfs(_: object) -> SimpleNamespace:
        return SimpleNamespace(**disk, f_favail=next(left) if made.exists() else 10**6)

    monkeypatch.setattr(os, "statvfs", statvfs)
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(watching, "MAX_FILES", most)
    runner = await runner_in(bus, tmp_path, tmp_path / "work")
    script = f'seq 1500 | (cd "$TMPDIR" && xargs touch) && touch {made} && sleep 60'
    message = JobMessage(spec=planned(1, runner="command", argv=("sh", "-c", script)).specs[0])
    outcome = await ran(runner, await claimed(bus, runner, message))
    assert outcome is not None
    assert (outcome.state, outcome.result.reason) == ("failed", "disk_limit")
    assert said in (outcome.result.message or "")
    await runner.close()


async def test_a_pipe_where_the_agent_writes_is_not_waited_for(bus: Bus, tmp_path: Path) -> None:
    runner = await runner_in(bus, tmp_path, tmp_path / "work")
    report = '<testsuite><testcase name="a"/></testsuite>'
    script = f"""mkfifo ../cases.json && echo '{report}' > "$QGJOB_JUNIT_FILE" """
    message = JobMessage(spec=planned(1, runner="command", argv=("sh", "-c", script)).specs[0])
    outcome = await ran(runner, await claimed(bus, runner, message))
    assert outcome is not None
    assert outcome.state == "passed"
    assert outcome.result.report is not None
    await runner.close()


async def test_an_error_about_a_file_whose_name_is_no_text_is_recorded(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise FetchError(f"no space left: {os.fsdecode(b'caf' + bytes([0xE9]))}")

    monkeypatch.setattr(Steps, "run", full)
    runner = await runner_in(bus, tmp_path, tmp_path / "work")
    message = JobMessage(spec=planned(1, runner="sleep", argv=("0",)).specs[0])
    outcome = await ran(runner, await claimed(bus, runner, message))
    assert outcome is not None
    assert outcome.result.message == "no space left: caf?"
    await runner.close()


async def test_what_an_earlier_claim_leaves_is_removed_beside_the_same_attempt_begun_again(
    bus: Bus, tmp_path: Path
) -> None:
    runner = await runner_in(bus, tmp_path, tmp_path / "work")
    script = 'seq 5000 | (cd "$TMPDIR" && xargs touch) && echo kept > "$HOME/file" && cat "$HOME/file"'
    message = JobMessage(spec=planned(1, runner="command", argv=("sh", "-c", script)).specs[0])
    for _ in range(3):  # as after a lease that was lost: the slot has the same attempt again, at once
        held = await claimed(bus, runner, message)
        outcome = await ran(runner, held)
        assert outcome is not None
        assert (outcome.state, outcome.result.message) == ("passed", None)
    await runner.close()
    assert list((tmp_path / "work").iterdir()) == []


async def test_a_full_store_is_tried_for_one_of_a_jobs_files_only(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next job need not wait until it has refused hundreds of them, one after the other."""
    info = await bus.requests.api(f"STREAM.INFO.OBJ_{ARTIFACT_OBJECTS}")
    await bus.requests.api(f"STREAM.UPDATE.OBJ_{ARTIFACT_OBJECTS}", {**info["config"], "max_bytes": 2000})
    dirs = JobDirs(root=tmp_path / "job")
    dirs.create()
    for number in range(3):
        (dirs.artifacts / f"f{number}").write_bytes(os.urandom(3000))
    tried: list[Path] = []
    put_file = objects.put_file

    async def noted(bus: Bus, bucket: str, path: Path, digest: str) -> None:
        tried.append(path)
        await put_file(bus, bucket, path, digest)

    monkeypatch.setattr(objects, "put_file", noted)
    said: list[str] = []
    kept = await artifacts.keep(bus, dirs, ArtifactLimits(), said.append)
    assert (kept.artifacts, kept.left_out, len(tried)) == ((), 3, 1)
    assert [line.split(": ")[1] for line in said] == ["f0", "f1", "f2"]
    assert all("maximum bytes exceeded" in line for line in said)
