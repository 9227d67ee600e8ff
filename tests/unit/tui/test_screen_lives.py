"""Screens that go as soon as they have come: nothing is drawn where widgets are missing."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from tests.support.dashboard import PlayedDashboard, shown
from tests.support.wait import wait_for
from tui.screens.alerts import AlertsScreen
from tui.screens.job import JobScreen
from tui.screens.live import LiveScreen
from tui.screens.log_keys import LogKeys
from tui.screens.logs import LogsScreen
from tui.screens.overview import OverviewScreen
from tui.screens.runs import RunScreen, RunsScreen
from tui.screens.slots import SlotsScreen
from tui.store.index import JobIndex
from tui.store.store import Changes
from tui.widgets.line_bar import FilterBar

EVERYTHING = Changes(overview=True, lab=True, link=True, second=True)


def a_job(played: PlayedDashboard) -> str:
    return next(iter(played.store.jobs))


SCREENS: dict[str, Callable[[PlayedDashboard], LiveScreen]] = {
    "overview": lambda p: OverviewScreen(p.store, JobIndex(p.store.jobs), read_only=False),
    "job": lambda p: JobScreen(p.store, p.app.index, a_job(p), read_only=False),
    "logs": lambda p: LogsScreen(p.store, [a_job(p)], read_only=False),
    "runs": lambda p: RunsScreen(p.store, "r", read_only=False),
    "run": lambda p: RunScreen(p.store, next(iter(p.store.jobs.runs)).run_id, read_only=False),
    "alerts": lambda p: AlertsScreen(p.store, read_only=False),
    "slots": lambda p: SlotsScreen(p.store, "lab", read_only=False),
}


def played_a_little() -> PlayedDashboard:
    played = PlayedDashboard()
    played.play(3)
    return played


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 12])
async def test_the_app_may_end_while_a_screen_is_coming(turns: int) -> None:
    played = played_a_little()
    app = played.app
    async with app.run_test(size=(120, 40)):  # raises what a screen raised
        app.push_screen(SCREENS["overview"](played))
        for _ in range(turns):
            await asyncio.sleep(0)


@pytest.mark.parametrize("kind", SCREENS)
async def test_a_screen_may_go_at_any_moment_and_hear_of_changes_before_and_after(kind: str) -> None:
    played = played_a_little()
    async with shown(played) as pilot:
        app = played.app
        for turns in (0, 1, 3, 8, 20):
            screen = SCREENS[kind](played)
            screen.update(EVERYTHING)
            app.push_screen(screen)
            for _ in range(turns):
                screen.update(EVERYTHING)
                await asyncio.sleep(0)
            gone = app.pop_screen()
            screen.on_screen_resume()
            played.draw()
            await gone
            screen.update(EVERYTHING)
        await pilot.pause()
        assert app.screen_stack == [app.screen]


async def test_a_line_that_is_put_away_while_its_timer_runs_does_nothing_more() -> None:
    played = played_a_little()
    async with shown(played) as pilot:
        screen = played.app.screen
        assert isinstance(screen, OverviewScreen)
        await pilot.press("slash", "x")
        bar = screen.focused.parent if screen.focused else None
        await pilot.press("escape")
        assert isinstance(bar, FilterBar)
        assert not bar.is_attached
        bar.apply()
        await pilot.pause()
        assert not played.app.index.filter


@pytest.mark.parametrize("kind", ["job", "logs"])
async def test_the_lines_of_a_closed_log_do_not_wait_for_the_garbage_collector(kind: str) -> None:
    played = played_a_little()
    async with shown(played) as pilot:
        app = played.app
        screen = SCREENS[kind](played)
        app.push_screen(screen)
        await pilot.pause()
        assert isinstance(screen, LogKeys)
        lines = weakref.ref(screen.log_view.buffer)
        gc.disable()
        try:
            await app.pop_screen()
            await wait_for(lambda: lines() is None)
        finally:
            gc.enable()
