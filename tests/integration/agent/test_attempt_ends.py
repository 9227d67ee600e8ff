"""An attempt ends as it was asked to, whenever that was asked, and whatever goes wrong around it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.attempt import AttemptRunner
from agent.claim import Claim, claim
from agent.outcome import Outcome
from agent.steps import Steps
from bus_schemas.jobs import JobMessage
from qgjob.bus.connect import Bus
from tests.support.runs import planned
from tests.support.slots import runner_in


async def claimed(bus: Bus, runner: AttemptRunner, message: JobMessage) -> Claim:
    runner.expect()
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
