"""A build that comes over a slow network: whoever watches the job sees how far it is."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from agent.attempts.claim import claim
from bus_schemas import streams, subjects
from bus_schemas.events import Preparing, Running
from bus_schemas.jobs import JobMessage
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.direct import read_all
from qgjob.client import Client
from qgjob.clock import SystemClock
from tests.integration.agent.test_attempt_ends import runner_in
from tests.support.pipeline import EventRecorder
from tests.support.proxy import Proxy
from tests.support.runs import planned
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

RATE = 2**18
"""Bytes a second: little enough for more than five seconds, after which no answer would be waited for."""
SIZE = 6 * RATE


async def test_a_slow_download_is_shown_as_it_gets_on(
    bus: Bus, nats_server: NatsServer, tmp_path: Path
) -> None:
    (tmp_path / "app.apk").write_bytes(os.urandom(SIZE))
    async with Proxy(nats_server.port) as proxy, open_bus(ServerOptions(url=proxy.url)) as far:
        message = JobMessage(spec=planned(1, runner="noop").specs[0])
        spec = message.spec
        await Client(bus, SystemClock()).upload_app(
            tmp_path / "app.apk", org_id=spec.org_id, app_version_id=spec.app_version_id
        )
        runner = await runner_in(far, tmp_path, tmp_path / "work")
        async with EventRecorder().watching(bus) as witness:
            runner.prepare_for_next()
            held = await claim(far, message, runner.who, await runner.phase(message))
            assert held is not None
            proxy.rate = RATE
            now = asyncio.get_running_loop().time()
            outcome = await runner.run(held, "qg.no_ack", 30.0, since=now)
            proxy.rate = 0
            assert outcome is not None
            assert (outcome.state, outcome.result.installed) == ("passed", True)
            events = witness.events[spec.job_id]
            await wait_for(lambda: any(isinstance(event, Running) for event in events))
        await runner.close()
    steps = [(event.step, event.message) for event in events if isinstance(event, Preparing)]
    said = [message or "" for step, message in steps if step == "download"]
    assert said, steps
    assert all(re.fullmatch(r"fetched [\d.]+ of 1\.5 MiB \(\d+ %\)", text) for text in said), said
    assert len(set(said)) == len(said), "nothing is said twice"
    installing = f"installing {spec.app_version_id}"
    assert (steps[0], steps[-1]) == (("install", None), ("install", installing)), "and then it is installed"
    log = [page async for page in read_all(bus, streams.LOGS, subjects.logs(spec.org_id, spec.job_id, 1))]
    assert installing in "".join(message.data.decode() for page in log for message in page)
