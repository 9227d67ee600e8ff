"""Keys that come one after the other: Escape is a key of its own, and the next one goes where it led."""

from __future__ import annotations

import pytest
from textual import events

from tests.support.dashboard import PlayedDashboard, shown
from tests.support.wait import wait_for
from tui.platform.terminal import KeyParser
from tui.screens.overview import OverviewScreen
from tui.widgets.line_bar import CommandBar, FilterBar


def keys_of(sent: str) -> list[str]:
    parser = KeyParser()
    found = [*parser.feed(sent), *parser.feed("")]
    return [event.key for event in found if isinstance(event, events.Key)]


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("\x1b", ["escape"]),
        ("\x1bj", ["escape", "j"]),
        ("\x1bJ", ["escape", "J"]),
        ("\x1b:", ["escape", "colon"]),
        ("\x1b/x", ["escape", "slash", "x"]),
        ("\x1b ", ["escape", "space"]),
        ("\x1b\x1b", ["escape", "escape"]),
        ("\x1b[A", ["up"]),
        ("j\x1b[5~", ["j", "pageup"]),
    ],
)
def test_escape_and_another_key_in_one_breath_are_two_keys(sent: str, keys: list[str]) -> None:
    assert keys_of(sent) == keys


def press_at_once(played: PlayedDashboard, *keys: tuple[str, str]) -> None:
    for key, character in keys:
        played.app.post_message(events.Key(key, character))


async def test_a_key_right_after_escape_does_not_go_into_the_line_that_closes() -> None:
    played = PlayedDashboard()
    played.play(3)
    async with shown(played) as pilot:
        await pilot.press("slash", "x")
        overview = played.app.screen
        assert isinstance(overview, OverviewScreen)
        press_at_once(played, ("escape", "\x1b"), ("space", " "))
        await wait_for(lambda: overview.jobs.marks)
        assert not overview.query(FilterBar)
        assert not played.app.index.filter


async def test_tab_completes_and_stays_in_the_line() -> None:
    played = PlayedDashboard()
    async with shown(played) as pilot:
        await pilot.press("colon", *"over")
        bar = played.app.screen.query_one(CommandBar)
        await wait_for(lambda: bar.field._suggestion)  # pyright: ignore[reportPrivateUsage]
        await pilot.press("tab")
        assert bar.field.value == "overview"
        assert bar.field.has_focus


async def test_who_clicks_elsewhere_leaves_the_line_with_what_it_says() -> None:
    played = PlayedDashboard()
    played.play(3)
    async with shown(played) as pilot:
        overview = played.app.screen
        assert isinstance(overview, OverviewScreen)
        await pilot.press("slash", *"login")
        await wait_for(lambda: played.app.index.filter.text == "login")
        await pilot.click("#agents")
        await wait_for(lambda: not overview.query(FilterBar))
        assert played.app.index.filter.text == "login"
        assert overview.focused is overview.query_one("#agents")


async def test_a_command_that_was_left_is_not_obeyed() -> None:
    played = PlayedDashboard()
    played.play(3)
    async with shown(played) as pilot:
        await pilot.press("colon", *"runs")
        await pilot.click("#agents")
        await wait_for(lambda: not played.app.screen.query(CommandBar))
        await pilot.press("enter")
        assert played.app.screen.name != "runs"
