"""Scenes of what can be done everywhere, in dialogs and in the help."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.dashboard import text_of
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage
from tui.screens.help import HelpScreen
from tui.screens.overview import OverviewScreen
from tui.screens.runs import RunScreen, RunsScreen
from tui.screens.slots import SlotsScreen
from tui.themes import DARK, LIGHT
from tui.widgets.line_bar import CommandBar


async def help_shows_all_keys(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, HelpScreen))
    await s.press("escape")
    await wait_for(lambda: isinstance(s.app.screen, OverviewScreen))


async def palette_opens(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: type(s.app.screen).__name__ == "CommandPalette")


async def theme_changes(s: Stage, key: str) -> None:
    await wait_for(lambda: s.app.theme == DARK)
    await s.press(key)
    await wait_for(lambda: s.app.theme == LIGHT)


async def picture_is_saved(s: Stage, key: str) -> None:
    await s.press(key)
    found = await wait_for(lambda: list(Path.cwd().glob("*.svg")))
    await wait_for(lambda: "<svg" in found[0].read_text())


async def everything_is_read_again(s: Stage, key: str) -> None:
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s.app, "_feed", SimpleNamespace(request_resync=asked.append, resyncs=0))
        await s.press(key)
        await wait_for(lambda: asked == ["Everything was read again."])


async def it_quits(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: s.app.return_code == 0)


async def runs_are_shown(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, RunsScreen) and "PROGRESS" in text_of(s.played))
    await s.press("enter")
    await wait_for(lambda: isinstance(s.app.screen, RunScreen) and s.app.screen.query("#jobs"))


async def slots_are_shown(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, SlotsScreen) and "lab-1/s0" in text_of(s.played))


async def commands_are_typed(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: s.app.screen.query(CommandBar))
    await s.press(*"order", "space", *"test", "enter")
    await wait_for(lambda: s.app.index.order == "test" and not s.app.screen.query(CommandBar))


async def dialog_yes(s: Stage, key: str) -> None:
    s.jobs.move_to_id(s.running())
    await s.press("c", key)
    await wait_for(lambda: s.app.screen is s.overview)
    await wait_for(lambda: len(s.app.cancelled) == 1)


async def dialog_no(s: Stage, key: str) -> None:
    s.jobs.move_to_id(s.running())
    await s.press("c", key)
    await wait_for(lambda: s.app.screen is s.overview)
    await wait_for(lambda: not s.app.cancelled)


async def help_closes(s: Stage, key: str) -> None:
    await s.press("question_mark", key)
    await wait_for(lambda: s.app.screen is s.overview)
