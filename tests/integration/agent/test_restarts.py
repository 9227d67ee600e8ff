"""An agent that was killed and started again: what it held runs again at once, not when a lease is over."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.attempts.claim import Claim, claim
from agent.attempts.identity import Identity
from agent.slots.held_work import HeldWork, Note
from bus_schemas import streams, subjects
from bus_schemas.events import Attempt, Started, TakenOver
from bus_schemas.jobs import JobMessage
from qgjob.bus.chain import ask_holder
from qgjob.bus.connect import Bus
from qgjob.bus.follow import stream_message
from qgjob.bus.pull import Puller
from qgjob.bus.topology import consumer_info, create_consumer
from tests.support.faulty_runners import PLUGINS
from tests.support.pipeline import EventRecorder, counts_reached, system
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

LONG_ACK_WAIT = ("--ack-wait", "3600")
"""What waits for a lease to end waits for longer than any test."""


@pytest.mark.parametrize("agents", [1, 2])
async def test_what_a_killed_agent_ran_runs_again_as_soon_as_it_is_back(tmp_path: Path, agents: int) -> None:
    given = system(tmp_path, agents=agents, slots=1, scheduler_args=LONG_ACK_WAIT, plugins=PLUGINS)
    go_on = tmp_path / "go on"
    async with given as (running, bus), EventRecorder().watching(bus) as witness:
        run = planned(4, runner="until", argv=(str(go_on),))
        await submit(bus, run)
        await wait_for(lambda: len(witness.started()) >= agents, 20, "jobs to run on all agents")
        os.kill(next(pid for name, pid in running.pids().items() if name.startswith("agent")), signal.SIGKILL)
        go_on.touch()
        await counts_reached(bus, run.run_id, {"passed": 4})
        assert set(witness.ends.values()) == {1}
        held = [e for events in witness.events.values() for e in events if isinstance(e, Started)]
        assert len([e for e in held if isinstance(e, TakenOver)]) == 1
        assert all(e.attempt == 1 for e in held), "a lost slot is no attempt of its own"


@dataclass
class Held:
    """An attempt that an agent held and noted when it was killed."""

    bus: Bus
    notes: HeldWork
    folder: Path
    claim: Claim
    note: Note
    ack: str
    consumer: str

    def noted(self, *, came_s: float) -> None:
        self.note.clear()
        self.note = self.notes.note(self.claim.subject, self.claim.nonce, self.ack, 30.0, came_s=came_s)

    async def delivered_again(self) -> int:
        """How often it is given to somebody else who asks."""
        async with Puller(self.bus, streams.WORK, self.consumer) as other:
            await other.request_one()
            await wait_for(lambda: other.ready, 10, "the work to be given again")
            (msg,) = other.take()
        return stream_message(msg).delivered

    async def handed_back(self) -> int:
        count = await HeldWork(self.folder).hand_back(self.bus)
        assert not list(self.folder.iterdir()), "a note outlives the start of the next agent"
        info = await consumer_info(self.bus, streams.WORK, self.consumer)
        assert info is not None
        assert count or info["num_ack_pending"] == 1, "it was not to be handed back"
        return count


@pytest.fixture
async def held(bus: Bus, tmp_path: Path) -> Held:
    message = JobMessage(spec=planned(1, runner="noop").specs[0])
    spec = message.spec
    group = streams.group_consumer("any", spec.org_id, spec.app_version_id, 3600.0)
    await create_consumer(bus, streams.WORK, group)
    await bus.requests.publish(
        subjects.work("any", spec.org_id, spec.app_version_id, spec.job_id), message.encode()
    )
    async with Puller(bus, streams.WORK, group["name"]) as puller:
        await puller.request_one()
        ack = (await puller.next()).reply
    claimed = await claim(bus, message, Identity("a", "s0", "d0"), "running")
    assert claimed is not None
    notes = HeldWork(tmp_path / "held")
    note = notes.note(claimed.subject, claimed.nonce, ack, 30.0, came_s=0.0)
    return Held(bus, notes, tmp_path / "held", claimed, note, ack, group["name"])


async def test_what_is_noted_is_handed_back_once(held: Held) -> None:
    assert await held.handed_back() == 1
    assert await held.delivered_again() == 2
    assert await held.handed_back() == 0


async def test_a_folder_that_is_gone_is_made_again(held: Held) -> None:
    shutil.rmtree(held.folder)
    held.noted(came_s=0.0)
    assert await held.handed_back() == 1


async def test_a_renewed_lease_may_be_handed_back_later(held: Held) -> None:
    held.noted(came_s=25.0)
    held.note.update(20.0)
    assert await held.handed_back() == 1


async def test_a_lease_that_is_over_may_be_somebody_elses(held: Held) -> None:
    held.noted(came_s=20.0)
    assert await held.handed_back() == 0


async def test_a_note_of_the_future_is_not_believed(held: Held) -> None:
    held.noted(came_s=-100.0)
    assert await held.handed_back() == 0


async def test_what_another_slot_took_over_is_its_own(held: Held) -> None:
    assert await claim(held.bus, held.claim.message, Identity("b", "s0", "d0"), "running") is not None
    assert await held.handed_back() == 0


async def test_what_was_noted_before_it_was_claimed_is_handed_back_too(held: Held) -> None:
    await held.bus.requests.api(f"STREAM.PURGE.{streams.EVENTS}", {})
    assert await held.handed_back() == 1


async def test_what_ended_is_not_handed_back(held: Held) -> None:
    result = Attempt(number=1, agent="a", slot="s0", finished_at=time.time(), outcome="passed")
    assert await held.claim.end("passed", result) == "recorded"
    assert await held.handed_back() == 0


async def test_what_was_to_be_cancelled_is_handed_back_to_be_ended(held: Held) -> None:
    assert await ask_holder(held.bus, held.claim.message, "cli", "enough", now=time.time()) is not None
    assert await held.handed_back() == 1


async def test_what_is_settled_is_not_noted(held: Held) -> None:
    held.note.clear()
    assert await held.handed_back() == 0


async def test_files_of_notes_are_used_again(held: Held) -> None:
    first = held.note.path
    held.note.clear()
    held.note.clear()  # says nothing new: the file is not given away twice
    notes = [held.notes.note("chain" * number, "n", "$JS.ACK.x", 30.0, came_s=0.0) for number in (9, 1)]
    assert [note.path == first for note in notes] == [True, False]
    for note in notes:
        note.clear()
    held.noted(came_s=0.0)
    assert held.note.path in {note.path for note in notes}
    assert await held.handed_back() == 1


OF_NO_DELIVERY = '{"chain": "x", "nonce": "n", "ack": "qg.x", "lease_s": 20, "at": 1e10}'


@pytest.mark.parametrize("text", ["", "[]", "{}", OF_NO_DELIVERY, "[" * 9000])
async def test_rubbish_among_the_notes_is_cleared(held: Held, text: str) -> None:
    held.note.path.write_text(text)
    assert await held.handed_back() == 0
