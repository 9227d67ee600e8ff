"""Screens that go as soon as they have come: nothing is drawn where widgets are missing."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.dashboard import PlayedDashboard
from tui.screens.overview import OverviewScreen
from tui.store.index import JobIndex


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 12])
async def test_the_app_may_end_while_a_screen_is_coming(turns: int) -> None:
    played = PlayedDashboard()
    played.play(3)
    app = played.app
    async with app.run_test(size=(120, 40)):  # raises what a screen raised
        app.push_screen(OverviewScreen(app.store, JobIndex(app.store.jobs), read_only=False))
        for _ in range(turns):
            await asyncio.sleep(0)
