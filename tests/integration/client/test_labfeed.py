"""The lab as it goes on, over the death of those that tell of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from qgjob.client import LabFeed, ServerOptions, SubmitRequest, open_client
from qgjob.client.watching.labfeed import AgentChanged, Change, JobChanged
from tests.support.pipeline import system
from tests.support.standstill import standing_still
from tests.support.wait import wait_for


class Heard:
    """Everything a feed told."""

    def __init__(self, lab: LabFeed) -> None:
        self.lab = lab
        self.changes: list[Change] = []

    async def until(self, what: str, timeout: float = 30) -> None:
        """Wait until something is told of which the description holds this."""

        async def told() -> bool:
            self.changes += await self.lab.changes(0.05)
            return any(what in _words(change) for change in self.changes)

        await wait_for(told, timeout, what)


def _words(change: Change) -> str:
    match change:
        case JobChanged(job):
            return f"{job.test} {job.state}"
        case AgentChanged(agent, what, slot):
            return f"{agent} {slot} {what}"


async def test_jobs_agents_and_silence_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("qgjob.client.watching.labfeed._QUIET_S", 3.0)
    async with (
        system(tmp_path, agents=1, slots=1) as (running, bus),
        open_client(ServerOptions(running.server)) as client,
        client.lab_feed() as lab,
    ):
        heard = Heard(lab)
        assert lab.overview is not None
        assert list(lab.agents) == ["local"]
        request = SubmitRequest(org_id="o", app_version_id="1", tests=["a"], runner="noop")
        await client.submit(request)
        await heard.until("a passed")
        assert len(lab.ends) == 1
        await client.hold("pause", "local/s0", note="cable")
        await heard.until("local s0 paused")
        await client.hold("resume", "local/s0")
        await heard.until("local s0 in order")

        async def silent() -> bool:
            await lab.changes(0.05)
            return lab.problem is not None

        async with standing_still(running.pids()["scheduler"]):
            await wait_for(silent, 30)

        async def well() -> bool:
            await lab.changes(0.05)
            return lab.problem is None

        await wait_for(well, 30)
        os.kill(running.pids()["nats"], signal.SIGKILL)  # it is started again
        await client.submit(SubmitRequest(org_id="o", app_version_id="1", tests=["b"], runner="noop"))
        await heard.until("b passed", 60)
        del bus
