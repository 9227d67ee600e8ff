"""The demo from its start to its report: system up, builds in, pushes, waiting, system down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from bus_schemas.jobs import BlobRef
from bus_schemas.queries import JobView
from qgjob.client import Client, LiveEvent, Resync, SubmitRequest, open_client
from qgjob.client.watching.live import Live
from qgjob.clock import Clock
from qgjob.config import ServerOptions
from qgjob.demo.plan import INSTALL_SECONDS, ORG, PUSH_EVERY_S, SLOTS, Plan, Push
from qgjob.demo.record import Record
from qgjob.demo.report import Report, make_report
from qgjob.demo.show import Show
from qgjob.domain.lifecycle import TERMINAL
from qgjob.domain.wording import pluralize
from qgjob.errors import NotFoundError, QgjobError
from qgjob.local.child import ChildSpec
from qgjob.local.folder import DataFolder
from qgjob.local.signals import StopSignals
from qgjob.local.system import Addresses, LocalSystem, UpOptions, default_services

DRAW_EVERY_S: Final = 0.2
STATUS_WITHIN_S: Final = 10.0
_ASSERTION: Final = re.compile(r"^\s*((?:\w+\.)*\w*(?:Error|Exception)\b.*)$", re.MULTILINE)
_MAX_LINE: Final = 200
_LIMIT_S: Final = 180.0
"""After so long the report is made of what there is."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of a demo."""

    slots: int = SLOTS
    keep: bool = False
    """The system goes on after the report, until it is stopped; other commands find it."""


async def run_demo(
    plan: Plan,
    options: DemoOptions,
    show: Show,
    clock: Clock,
    *,
    tell: Callable[[Report], None],
) -> Report | None:
    """Run the demo, `tell` its report, and leave nothing behind; None when a signal stopped it before.

    Raises what starting a LocalSystem raises. Call it in the main thread, as the body of `asyncio.run`.
    """
    report: Report | None = None
    with tempfile.TemporaryDirectory(prefix="qgjob-demo-", ignore_cleanup_errors=True) as folder:
        up = UpOptions(
            slots=options.slots,
            data_dir=Path(folder) / "data",
            log_level="warning",
            agent_args=("--install-seconds", str(INSTALL_SECONDS)),
        )
        unexpected: list[str] = []
        system = LocalSystem(
            up, announce=unexpected.append, services=_services, publish=options.keep, clock=clock
        )
        signals = StopSignals(system, show.note, "Stopping; Ctrl-C again stops at once.")
        try:
            with signals:
                async with contextlib.AsyncExitStack() as stack:
                    with show:
                        show.say(
                            "starting NATS, Valkey, a scheduler and an agent with "
                            + pluralize(options.slots, "slot")
                        )
                        await stack.enter_async_context(system)
                        demo = _Demo(plan, options, show, clock)
                        report = await _while_it_runs(system, demo.run(system.server))
                    report = replace(report, differences=(*report.differences, *unexpected))
                    tell(report)
                    if options.keep:
                        await system.failed()
        except asyncio.CancelledError:
            signals.own_cancel()
    return report


class _Demo:
    """One demo on a system that runs."""

    def __init__(self, plan: Plan, options: DemoOptions, show: Show, clock: Clock) -> None:
        self._plan = plan
        self._options = options
        self._show = show
        self._clock = clock
        self._record = Record(plan.jobs)

    async def run(self, server: str) -> Report:
        """Submit all pushes, wait, and make the report."""
        async with open_client(ServerOptions(server, name="qgjob demo"), clock=self._clock) as client:
            self._show.say(f"uploading {len(self._plan.versions)} builds and the tests")
            for version in self._plan.versions:
                await client.upload_app(self._plan.build(version), org_id=ORG, app_version_id=version)
            bundle = await self._upload_tests(client)
            async with client.live_events() as live:
                await self._push_and_follow(client, live, bundle)
            return make_report(
                self._plan,
                self._record,
                {job.job_id: await _why(client, job) for job in self._record.jobs if _failed(job)},
                slots=self._options.slots,
                now=self._clock.now(),
                more=await self._compare_status(client),
            )

    async def _upload_tests(self, client: Client) -> BlobRef:
        from qgjob.bundle import Selection, build_bundle

        selection = Selection(self._plan.root, self._plan.tests)
        with tempfile.TemporaryDirectory(prefix="qgjob-bundle-") as folder:
            packed = await asyncio.to_thread(build_bundle, selection, Path(folder) / "bundle.tar.gz")
            return await client.upload_bundle(packed.path)

    async def _push_and_follow(self, client: Client, live: Live[LiveEvent], bundle: BlobRef) -> None:
        pushes = list(self._plan.pushes)
        now = self._clock.monotonic()
        push_at, draw_at, give_up_at = now, now, now + _LIMIT_S
        while not self._record.over and now < give_up_at:
            if pushes and now >= push_at:
                await self._push(client, pushes.pop(0), bundle)
                push_at = now + PUSH_EVERY_S
            await self._take(client, live)
            if now >= draw_at:
                self._show.update(self._record)
                draw_at = now + DRAW_EVERY_S
            now = self._clock.monotonic()
            until = min(draw_at, push_at) if pushes else draw_at
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(live.ready(), max(until - now, 0.0))
            now = self._clock.monotonic()
        self._show.update(self._record)

    async def _push(self, client: Client, push: Push, bundle: BlobRef) -> None:
        request = SubmitRequest(
            org_id=ORG,
            app_version_id=push.version,
            tests=push.tests,
            bundle=bundle,
            priority=push.priority,
            runner="command",
            name=f"{push.version} {push.suite}",
        )
        self._record.on_submitted(push, await client.submit(request))
        self._show.on_push(push)

    async def _take(self, client: Client, live: Live[LiveEvent]) -> None:
        for item in live.take():
            if isinstance(item, Resync):
                self._record.on_resync(await _status_of(client, self._record))
            else:
                self._record.on_event(item)

    async def _compare_status(self, client: Client) -> list[str]:
        """Check that `qgjob status` soon says what the events said."""
        give_up_at = self._clock.monotonic() + STATUS_WITHIN_S
        while True:
            states = {view.job_id: view.state for view in await _status_of(client, self._record)}
            other = [job for job in self._record.jobs if states.get(job.job_id) != job.state]
            if not other:
                return []
            if self._clock.monotonic() >= give_up_at:
                job = other[0]
                what = f"{job.test} of {job.app_version_id} is {states.get(job.job_id, 'unknown')}"
                return [f"{len(other)} jobs are not what their events say: {what}, not {job.state}."]
            await asyncio.sleep(DRAW_EVERY_S)


async def _while_it_runs(system: LocalSystem, work: Coroutine[Any, Any, T]) -> T:
    """Run `work` until it ends or the system fails."""
    working = asyncio.create_task(work)
    failing = asyncio.create_task(system.failed())
    try:
        await asyncio.wait({working, failing}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            failing.result()
        return await working
    finally:
        working.cancel()
        failing.cancel()
        await asyncio.wait({working, failing})


async def _status_of(client: Client, record: Record) -> list[JobView]:
    views: list[JobView] = []
    for run_id in record.runs:
        with contextlib.suppress(NotFoundError):  # not read in yet
            views += (await client.run(run_id)).jobs
    return views


def assertion_in(output: str) -> str:
    """The line with which a test said why it failed: the last that names an error, else its last of all."""
    named = _ASSERTION.findall(output)
    lines = named or [line for line in output.splitlines() if line.strip()] or [""]
    return lines[-1].strip()[:_MAX_LINE]


async def _why(client: Client, job: JobView) -> str:
    try:
        text = "".join([part async for chunk in client.logs(job.job_id) for _, part in chunk.parts])
    except QgjobError as error:
        return f"its output cannot be read: {error.message}"
    return assertion_in(text)


def _failed(job: JobView) -> bool:
    return job.state in TERMINAL and job.state != "passed"


def _services(options: UpOptions, addresses: Addresses, folder: DataFolder) -> Sequence[Sequence[ChildSpec]]:
    """The usual services; their jobs find our own Python as `python3`, whatever else is on the machine."""
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    return [
        [replace(spec, env={**spec.env, "PATH": path}) for spec in stage]
        for stage in default_services(options, addresses, folder)
    ]
