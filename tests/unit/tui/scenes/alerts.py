"""Scenes of what is wrong."""

from __future__ import annotations

from tests.support.dashboard import text_of
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage
from tui.screens.alerts import AlertsScreen
from tui.screens.confirm import Confirm


async def _alerts(s: Stage) -> AlertsScreen:
    """The screen, with a slot in quarantine."""
    s.played.model.lab[5].state = "quarantined"
    s.played.play(1)
    s.played.draw()
    await s.press("exclamation_mark")
    await wait_for(lambda: isinstance(s.app.screen, AlertsScreen) and s.app.screen.query("#troubles"))
    await s.pilot.pause()
    screen = s.app.screen
    assert isinstance(screen, AlertsScreen)
    return screen


async def alerts_are_shown(s: Stage, key: str) -> None:
    await _alerts(s)
    await s.press(key)
    assert isinstance(s.app.screen, AlertsScreen)
    await wait_for(lambda: "▲ lab-2/s1 in quarantine" in text_of(s.played))
    assert "qgjob agents resume lab-2/s1" in " ".join(text_of(s.played).split())
    await s.press("escape")
    await wait_for(lambda: s.app.screen is s.overview)


async def lets_go(s: Stage, key: str) -> None:
    await _alerts(s)
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, Confirm))
    await s.press("y")
    await wait_for(
        lambda: [(d.verb, d.targets) for d in s.app.operations] == [("agents resume", ("lab-2/s1",))]
    )


async def alert_copies(s: Stage, key: str) -> None:
    await _alerts(s)
    await s.press(key)
    await wait_for(lambda: s.app.clipboard.startswith("lab-2/s1 in quarantine"))


async def alerts_go_back(s: Stage, key: str) -> None:
    await _alerts(s)
    await s.press(key)
    await wait_for(lambda: s.app.screen is s.overview)
