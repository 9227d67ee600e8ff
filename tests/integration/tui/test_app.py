"""The whole dashboard on a real server, without a terminal: what keys do arrives on the bus."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from textual.pilot import Pilot
from textual.widgets._toast import Toast

from bus_schemas.events import Started
from bus_schemas.logs import LogChunk
from qgjob.bus.connect import ServerOptions
from tests.support.lab.output import chunks_of
from tests.support.lab.service import LabService
from tests.support.pictures import lines_of
from tests.support.servers import NatsServer
from tests.support.wait import wait_for
from tui.app import DashboardApp
from tui.operations import catalog
from tui.screens.confirm import Confirm
from tui.screens.job import JobScreen
from tui.screens.logs import LogsScreen
from tui.screens.overview import OverviewScreen


@contextlib.asynccontextmanager
async def dashboard(
    server: NatsServer, *, read_only: bool = False
) -> AsyncGenerator[tuple[DashboardApp, Pilot[None]]]:
    app = DashboardApp(ServerOptions(url=server.url), read_only=read_only)
    app.animation_level = "none"
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await wait_for(lambda: "● live" in text(app) and len(app.index) > 0, 30)
        yield app, pilot


def text(app: DashboardApp) -> str:
    return "\n".join(lines_of(app))


def toasts(app: DashboardApp) -> list[str]:
    return [str(toast._notification.message) for toast in app.screen.query(Toast)]  # pyright: ignore[reportPrivateUsage]


async def test_a_job_is_cancelled_and_its_end_is_seen(lab: LabService, nats_server: NatsServer) -> None:
    async with dashboard(nats_server) as (app, pilot):
        waiting = next(job.spec.job_id for job in lab.model.waiting)
        overview = app.screen
        assert isinstance(overview, OverviewScreen)
        await wait_for(lambda: overview.jobs.move_to_id(waiting))
        await pilot.press("c")
        await wait_for(lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await wait_for(lambda: (j := app.store.jobs.get(waiting)) and j.state == "cancelled")
        assert "qg.ctl.cancel.any" in lab.asked
        await wait_for(lambda: toasts(app) == [f"qgjob cancel: {waiting}"])


async def test_a_request_that_nobody_answers_says_so_while_it_is_waited_for(
    lab: LabService, nats_server: NatsServer
) -> None:
    await lab.bus.nc.subscribe("qg.ctl.retry.*")  # heard, and never answered
    async with dashboard(nats_server) as (app, pilot):
        overview = app.screen
        assert isinstance(overview, OverviewScreen)
        ended = next(i for i in app.index if (j := app.store.jobs.get(i)) and j.ended)
        await wait_for(lambda: overview.jobs.move_to_id(ended))
        await pilot.press("r")
        await wait_for(lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await wait_for(lambda: toasts(app) == ["qgjob retry: asked for, and not answered yet."])


async def test_read_only_sends_nothing(lab: LabService, nats_server: NatsServer) -> None:
    async with dashboard(nats_server, read_only=True) as (app, pilot):
        waiting = next(job.spec.job_id for job in lab.model.waiting)
        overview = app.screen
        assert isinstance(overview, OverviewScreen)
        await wait_for(lambda: overview.jobs.move_to_id(waiting))
        await pilot.press("c", "y")
        app.execute(catalog.cancel([job for job in [app.store.jobs.get(waiting)] if job]))
        await pilot.pause()
        assert not [subject for subject in lab.asked if ".ctl." in subject]


async def test_a_log_is_followed_and_the_next_one_replaces_it(
    lab: LabService, nats_server: NatsServer
) -> None:
    first, second = [slot.job.spec.job_id for slot in lab.model.lab if slot.job][:2]
    for job_id, case in ((first, 3), (second, 5)):
        view = lab.model.views[job_id]
        await lab.publish_log(view.org_id, chunks_of(job_id, view.test, at=lab.model.now, cases=case))
    async with dashboard(nats_server) as (app, _):
        app.open_job(first)
        await wait_for(lambda: "3 passed" in text(app))
        app.open_job(second)
        await wait_for(lambda: "5 passed" in text(app))
        screen = app.screen
        assert isinstance(screen, JobScreen)
        assert "3 passed" not in text(app)


async def test_a_log_goes_on_when_one_comes_back_to_it(lab: LabService, nats_server: NatsServer) -> None:
    first, second = [slot.job.spec.job_id for slot in lab.model.lab if slot.job][:2]
    view = lab.model.views[first]
    log = chunks_of(first, view.test, at=lab.model.now, cases=40)
    await lab.publish_log(view.org_id, log[:3])
    async with dashboard(nats_server) as (app, pilot):
        app.open_job(first)
        await wait_for(lambda: isinstance(app.screen, JobScreen))
        screen = app.screen
        assert isinstance(screen, JobScreen)
        await wait_for(lambda: screen.log_view.buffer.end > 0)
        lines = screen.log_view.buffer.end
        app.run_command(f"log {first} {second}")
        await wait_for(lambda: isinstance(app.screen, LogsScreen))
        await pilot.press("escape")
        await wait_for(lambda: app.screen is screen)
        await lab.publish_log(view.org_id, log[3:])
        await wait_for(lambda: "40 passed" in text(app))
        said = [screen.log_view.buffer.line(number).text for number in range(screen.log_view.buffer.end)]
        assert (
            len(said) == len("".join(part for chunk in log for _, part in chunk.parts).splitlines()) > lines
        )


async def test_the_log_of_a_job_that_is_tried_again_goes_on(lab: LabService, nats_server: NatsServer) -> None:
    job_id = next(slot.job.spec.job_id for slot in lab.model.lab if slot.job)
    view = lab.model.views[job_id]
    await lab.publish_log(view.org_id, chunks_of(job_id, view.test, at=lab.model.now, cases=3))
    while lab.model.views[job_id].ended_at is None:
        await lab.publish(lab.model.step(5))
    view = lab.model.views[job_id]
    number = view.attempts[-1].number + 1
    again = LogChunk(job_id=job_id, attempt=number, seq=0, at=lab.model.now, parts=(("out", "once more\n"),))
    async with dashboard(nats_server) as (app, _):
        app.open_job(job_id)
        await wait_for(lambda: isinstance(app.screen, JobScreen))
        screen = app.screen
        assert isinstance(screen, JobScreen)
        await wait_for(lambda: screen.log_view.buffer.complete)
        started = Started(
            org_id=view.org_id,
            run_id=view.run_id,
            job_id=job_id,
            attempt=number,
            at=lab.model.now,
            nonce="n",
            agent="lab-1",
            slot="s0",
            app_version_id=view.app_version_id,
            phase="preparing",
        )
        await lab.publish([started])
        await wait_for(lambda: (job := app.store.jobs.get(job_id)) and not job.ended)
        await lab.publish_log(view.org_id, [again])
        await wait_for(lambda: "once more" in text(app))
        assert not screen.log_view.buffer.complete


async def test_after_a_restart_it_says_that_everything_was_read_again(
    lab: LabService, nats_server: NatsServer
) -> None:
    async with dashboard(nats_server) as (app, _):
        nats_server.kill()
        await wait_for(lambda: "▲ reconnecting" in text(app))
        await nats_server.start()
        await wait_for(lambda: lab.bus.connected, 20)
        await wait_for(lambda: "● live" in text(app), 20)
        await wait_for(lambda: any("everything was read again" in toast for toast in toasts(app)))


async def test_a_replay_without_a_scheduler_leaves_the_reason_where_it_is(
    lab: LabService, nats_server: NatsServer
) -> None:
    async with dashboard(nats_server) as (app, _):
        await lab.fall_silent()
        app.action_read_again()
        await wait_for(lambda: app.live_store.link.query_error, 20)
        reason = app.live_store.link.query_error
        app.start_replay(3600)
        await wait_for(lambda: app.replay is not None, 20)
        assert app.live_store.link.query_error == reason
        assert app.live_store.link.progress == app.store.link.progress == ""
        await wait_for(lambda: len(app.store.jobs) > 0)
        app.end_replay()
        await wait_for(lambda: "▲ no scheduler" in text(app))


async def test_runs_are_found_by_names_that_no_event_told(lab: LabService, nats_server: NatsServer) -> None:
    async with dashboard(nats_server) as (app, pilot):
        runs = app.store.jobs.runs
        unnamed = next(run.run_id for run in runs if not run.size)
        lab.model.run_names[unnamed] = "nightly of the shop"
        app.open_runs("nightly")
        await wait_for(lambda: "nightly of the shop" in text(app))
        await wait_for(lambda: not app.store.link.snapshot_loading)
        lab.looked_up.clear()
        await pilot.press("enter")
        await wait_for(lambda: app.screen.name == "run")
        await wait_for(lambda: not [worker for worker in app.workers if worker.group == "run"])
        assert lab.looked_up == [(unnamed, 1)], "its jobs are known: nobody asks for thousands of them again"


async def test_without_a_connection_nothing_is_done_later_by_surprise(
    lab: LabService, nats_server: NatsServer
) -> None:
    async with dashboard(nats_server) as (app, _):
        waiting = next(job.spec.job_id for job in lab.model.waiting)
        job = app.store.jobs.get(waiting)
        assert job is not None
        nats_server.kill()
        await wait_for(lambda: "▲ reconnecting" in text(app))
        app.execute(catalog.cancel([job]))
        await wait_for(lambda: "Not connected: no qgjob cancel." in toasts(app))
        await nats_server.start()
        await wait_for(lambda: lab.bus.connected and "● live" in text(app), 20)
        assert not [subject for subject in lab.asked if ".ctl." in subject]
