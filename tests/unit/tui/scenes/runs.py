"""Scenes of a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from qgjob.domain.lifecycle import BAD_ENDS
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage
from tui.screens.confirm import Confirm
from tui.screens.logs import LogsScreen
from tui.screens.runs import RunScreen, RunsScreen


async def run_screen(s: Stage) -> RunScreen:
    runs = s.app.store.jobs.runs.latest()
    run = next(r for r in runs if r.ended and not r.ended_all)
    s.app.open_run(run.run_id)
    await wait_for(lambda: isinstance(s.app.screen, RunScreen) and s.app.screen.query("#jobs"))
    await s.pilot.pause()
    screen = s.app.screen
    assert isinstance(screen, RunScreen)
    return screen


def run_asks(verb: str, *, ended: bool, typed: str = "") -> Callable[[Stage, str], Awaitable[None]]:
    async def asks_and_does(s: Stage, key: str) -> None:
        screen = await run_screen(s)
        ids = screen.jobs.rows
        rows = (ids[row] for row in range(len(ids)))
        job_id = next(i for i in rows if (j := s.app.store.jobs.get(i)) and j.ended == ended)
        screen.jobs.move_to_id(job_id)
        await s.press(key)
        await wait_for(lambda: isinstance(s.app.screen, Confirm))
        await s.press(*typed, "enter" if typed else "y")
        await wait_for(lambda: [(d.verb, d.targets) for d in s.app.operations] == [(verb, (job_id,))])

    return asks_and_does


def runs_ask(verb: str) -> Callable[[Stage, str], Awaitable[None]]:
    async def asks_and_does(s: Stage, key: str) -> None:
        runs, jobs = s.app.store.jobs.runs, s.app.store.jobs
        run = next(r for r in runs.latest() if r.failed and r.counts.get("passed") and not r.ended_all)
        wanted = sorted(
            i
            for i in run.job_ids
            if (j := jobs.get(i)) and (not j.ended if verb == "cancel" else j.state in BAD_ENDS)
        )
        await s.press("5")
        screen = s.app.screen
        assert isinstance(screen, RunsScreen)
        screen.table.move_to_id(run.run_id)
        await s.press(key)
        await wait_for(lambda: isinstance(s.app.screen, Confirm))
        await s.press("y")
        await wait_for(lambda: s.app.operations)
        assert [(d.verb, sorted(d.targets)) for d in s.app.operations] == [(verb, wanted)]

    return asks_and_does


async def run_copies(s: Stage, key: str) -> None:
    screen = await run_screen(s)
    await s.press(key)
    await wait_for(lambda: s.app.clipboard == screen.jobs.cursor_id)


async def run_goes_back(s: Stage, key: str) -> None:
    await run_screen(s)
    await s.press(key)
    await wait_for(lambda: s.app.screen is s.overview)


async def run_is_merged(s: Stage, key: str) -> None:
    screen = await run_screen(s)
    screen.jobs.action_mark()
    screen.jobs.action_mark()
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, LogsScreen) and len(s.app.screen.job_ids) == 2)
