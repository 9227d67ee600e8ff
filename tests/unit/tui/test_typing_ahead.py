"""Keys that come faster than the screen: each does what it would have done with a pause before it."""

from __future__ import annotations

from textual import events

from tests.support.dashboard import shown
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage, stage
from tui.screens.confirm import Confirm
from tui.screens.job import JobScreen
from tui.screens.runs import RunsScreen
from tui.widgets.agent_table import AgentTable

NAMES = {"\r": "enter", "/": "slash", ":": "colon", "_": "underscore", " ": "space"}


def type_at_once(s: Stage, keys: str) -> None:
    """All keys lie in the queue before the first is looked at."""
    for key in keys:
        s.app.post_message(events.Key(NAMES.get(key, key), None if key == "\r" else key))


async def test_enter_behind_a_filter_opens_the_job() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        job_id = s.running()
        type_at_once(s, f"/{job_id}\r\r")
        await wait_for(lambda: isinstance(s.app.screen, JobScreen))
        assert isinstance(s.app.screen, JobScreen)
        assert s.app.screen.job_id == job_id
        assert s.app.index.filter.text == job_id


async def test_keys_behind_a_command_go_where_it_leads_and_it_is_done_once() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        type_at_once(s, ":runs\rjj\r")
        await wait_for(lambda: s.app.screen.name == "run")
        await s.press("escape")
        await wait_for(lambda: isinstance(s.app.screen, RunsScreen))
        runs = s.app.screen
        assert isinstance(runs, RunsScreen)
        assert runs.table.rows.row_of(runs.table.cursor_id or "") == 2
        type_at_once(s, ":pause acme\r\r")
        await wait_for(lambda: s.app.operations)
        await pilot.pause()
        assert [d.verb for d in s.app.operations] == ["queue pause"]
        assert not isinstance(s.app.screen, Confirm)


async def test_yes_twice_is_yes_once() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        s.jobs.move_to_id(s.running())
        await s.press("c")
        await wait_for(lambda: isinstance(s.app.screen, Confirm))
        type_at_once(s, "yy")
        await wait_for(lambda: s.app.cancelled)
        await pilot.pause()
        assert len(s.app.cancelled) == 1
        assert s.app.screen is s.overview


async def test_a_panel_of_the_overview_is_one_key_away_from_everywhere() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("6", "2")
        await wait_for(lambda: s.app.screen is s.overview and isinstance(s.overview.focused, AgentTable))
        await s.open()
        await s.press("4")
        await wait_for(lambda: s.app.screen is s.overview and s.jobs.has_focus)
        assert len([w for w in s.overview.query("#panels > *") if w.display]) == 4
