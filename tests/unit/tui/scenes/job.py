"""Scenes of a job."""

from __future__ import annotations

from tests.support.dashboard import text_of
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage
from tui.screens.confirm import Confirm
from tui.screens.job import JobScreen
from tui.screens.reading import Reading


async def job_cancel_asks(s: Stage, key: str) -> None:
    job_id = s.running()
    await s.open(job_id)
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, Confirm))
    await s.press("y")
    await wait_for(lambda: s.app.cancelled == [job_id])


async def job_copies(s: Stage, key: str) -> None:
    job_id = s.running()
    await s.open(job_id)
    await s.press(key)
    await wait_for(lambda: s.app.clipboard == job_id)


async def next_job_is_shown(s: Stage, key: str) -> None:
    await s.open(s.app.index[0])
    await s.press(key)
    screen = s.app.screen
    assert isinstance(screen, JobScreen)
    await wait_for(lambda: screen.job_id == s.app.index[1])
    await wait_for(lambda: len(screen.log_view.buffer) == 0)


async def previous_job_is_shown(s: Stage, key: str) -> None:
    await s.open(s.app.index[1])
    await s.press(key)
    screen = s.app.screen
    assert isinstance(screen, JobScreen)
    await wait_for(lambda: screen.job_id == s.app.index[0])


async def job_goes_back(s: Stage, key: str) -> None:
    await s.open(s.app.index[5])
    await s.press(key)
    await wait_for(lambda: s.app.screen is s.overview)
    await wait_for(lambda: s.jobs.cursor_id == s.app.index[5])


async def something_is_read(s: Stage, key: str) -> None:
    await s.open()
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, Reading))
    screen = s.app.screen
    assert isinstance(screen, Reading)
    screen.show(lambda _: [(("because of the labels", ""),)])
    await wait_for(lambda: "because of the labels" in text_of(s.played))
    await s.press("escape")
    await wait_for(lambda: isinstance(s.app.screen, JobScreen))
