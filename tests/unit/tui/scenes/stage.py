"""A dashboard on a screen, for scenes to be played on."""

from __future__ import annotations

from textual.pilot import Pilot

from bus_schemas.logs import StoredChunk
from tests.support.dashboard import PlayedDashboard
from tests.support.lab.model import LabModel
from tests.support.wait import wait_for
from tui.screens.job import JobScreen
from tui.screens.overview import OverviewScreen
from tui.themes import DARK
from tui.widgets.job_table import JobTable
from tui.widgets.log_view import LogView


class Stage:
    """A dashboard on a screen, and shorthands for what is on it."""

    def __init__(self, played: PlayedDashboard, pilot: Pilot[None]) -> None:
        self.played = played
        self.pilot = pilot
        self.app = played.app

    async def begin_again(self) -> None:
        """Leave nothing of a scene: the overview as it was at first, with what the lab has done since."""
        app = self.app
        app.end_replay()
        app.go_home()
        app.theme = DARK
        app.operations.clear()
        app.copy_to_clipboard("")
        app.clear_notifications()
        self.overview.filter_by("")
        app.show_jobs(order="latest")
        self.jobs.action_unmark_all()
        self.jobs.to_top()
        if any(panel.has_class("zoom") for panel in self.overview.query("#panels > *")):
            self.overview.action_zoom()
        self.played.draw()
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    @property
    def overview(self) -> OverviewScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, OverviewScreen)
        return screen

    @property
    def jobs(self) -> JobTable:
        return self.overview.jobs

    def running(self) -> str:
        return next(i for i in self.app.index if (j := self.app.store.jobs.get(i)) and j.state == "running")

    async def open(self, job_id: str | None = None) -> LogView:
        """Open a job, with a log of 200 lines."""
        job_id = job_id or self.running()
        self.app.open_job(job_id)
        await wait_for(lambda: isinstance(self.app.screen, JobScreen) and self.app.screen.query("#log"))
        await self.pilot.pause()
        screen = self.app.screen
        assert isinstance(screen, JobScreen)
        self.write(screen.log_view, 1, 200)
        return screen.log_view

    def write(self, view: LogView, seq: int, lines: int) -> None:
        first = view.buffer.end
        text = "".join(f"line {first + i}\n" for i in range(lines))
        view.buffer.add(StoredChunk(stream_seq=seq, attempt=1, at=1.76e9, parts=(("out", text),)))
        self.played.draw()


def stage() -> PlayedDashboard:
    played = PlayedDashboard(LabModel(seed=4, mean_test_s=15))
    played.play(60)
    played.live()
    return played
