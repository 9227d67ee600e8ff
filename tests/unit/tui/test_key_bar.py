"""The bottom line tells the keys on every screen, however narrow, and a click on one presses it."""

from __future__ import annotations

import pytest

from tests.support.dashboard import keys_shown, shown, text_of
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage, stage
from tui.screens.runs import RunScreen
from tui.widgets.key_bar import KeyBar
from tui.widgets.line_bar import CommandBar


@pytest.mark.parametrize("width", [40, 80, 120])
async def test_where_the_keys_are_told_stands_on_every_screen(width: int) -> None:
    played = stage()
    async with shown(played, (width, 24)) as pilot:
        s = Stage(played, pilot)
        for keys in (["4"], ["enter"], ["5"], ["enter"], ["6"], ["exclamation_mark"]):
            await s.press(*keys)
            last = text_of(played).splitlines()[23]
            assert "? Help" in last, (keys, last)
            assert "⏎ Open" in last or "f Follow" in last, last


async def test_in_a_replay_its_keys_stay_where_there_is_little_room() -> None:
    from tests.unit.tui.scenes.replay import a_replay

    played = stage()
    async with shown(played, (60, 24)) as pilot:
        played.app.show_replay(a_replay())
        await pilot.pause()
        assert [key.label for key in keys_shown(played.app)][-5:] == ["Help", "Play", "Back", "Step", "Live"]


async def test_what_cannot_be_done_now_does_not_look_like_a_key() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        s.jobs.move_to_id(s.running())
        await pilot.pause()
        assert {key.label: key.enabled for key in keys_shown(s.app)}["Cancel"]
        await s.press("1")
        bar = s.overview.query_one(KeyBar)
        assert not {key.label: key.enabled for key in bar.shown}["Cancel"]
        assert ("c", "off") in bar.draw(bar.size.width, 1)[0]


async def test_a_click_on_a_key_presses_it_and_the_mouse_says_what_it_does() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("5")
        bar = s.app.screen.query_one(KeyBar)
        at = 1 + text_of(played).splitlines()[39].index("Open") - 1
        await pilot.hover(KeyBar, offset=(at, 0))
        assert bar.tooltip == "Open what the cursor stands on."
        await pilot.click(KeyBar, offset=(at, 0))
        await wait_for(lambda: isinstance(s.app.screen, RunScreen))
        await pilot.click(KeyBar, offset=(100, 0))
        assert isinstance(s.app.screen, RunScreen)


async def test_where_something_is_typed_the_line_makes_room_and_comes_back() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("colon")
        assert s.app.screen.query(CommandBar)
        assert "? Help" not in text_of(played)
        await s.press("escape")
        assert "? Help" in text_of(played)
        for screen in ("overview", "job"):
            if screen == "job":
                await s.open()
            before = text_of(played).splitlines()[39]
            await s.press("slash", "x")
            assert "? Help" not in text_of(played)
            await s.press("enter")
            await wait_for(lambda before=before: text_of(played).splitlines()[39] == before)
