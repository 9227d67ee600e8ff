"""The dashboard on a play of the lab, without a bus: for pictures, and for tests of the screens."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from textual.pilot import Pilot

from bus_schemas.events import AnyEvent
from bus_schemas.requests import StoredChunk
from qgjob.clock import ManualClock
from tests.support.lab.model import START, LabModel
from tests.support.lab.output import chunks_of
from tests.support.pictures import grid_of
from tests.support.wait import wait_for
from tui.app import DashboardApp
from tui.deeds import Deed
from tui.store.log import LogBuffer
from tui.store.store import Store


class RecordingApp(DashboardApp):
    """Without a bus: what would be done is written down."""

    def __init__(self, *, store: Store, read_only: bool) -> None:
        super().__init__(store=store, read_only=read_only)
        self.deeds: list[Deed] = []

    @property
    def cancelled(self) -> list[str]:
        """The jobs that would have been cancelled."""
        return [job_id for deed in self.deeds if deed.verb == "cancel" for job_id in deed.targets]

    def carry_out(self, deed: Deed) -> None:
        """Write it down."""
        self.deeds.append(deed)


class PlayedDashboard:
    """A store that a model of the lab fills, on a clock that stands still between steps."""

    def __init__(self, model: LabModel | None = None, *, read_only: bool = False) -> None:
        self.model = model or LabModel()
        self.clock = ManualClock(START)
        self.clock.advance(1000)
        self.clock.set_now(START)
        self.store = Store(self.clock, server="nats://lab.example:4222")
        self.app = RecordingApp(store=self.store, read_only=read_only)
        self.seq = 0

    def play(self, seconds: int, **options: int) -> None:
        """Let the model play, the store hearing all of it."""
        for _ in range(seconds):
            events = self.model.play(1, **options)
            self.clock.advance(1)
            for event in events:
                self.hear(event)
            self.say_state()
            self.store.history.sample(
                self.clock.monotonic(), self.model.overview().depths, self.model.overview().running
            )

    def hear(self, event: AnyEvent) -> None:
        """Let the store hear an event of the model."""
        self.seq += 1
        self.store.hear_event(event, self.seq)

    def say_state(self) -> None:
        """The overview and the heartbeats of this moment."""
        self.store.hear_overview(self.model.overview())
        for beat in self.model.heartbeats():
            self.store.hear_heartbeat(beat)

    def live(self) -> None:
        """As if connected and up to date."""
        self.store.link.move("live", self.clock.monotonic())

    def draw(self) -> None:
        """What the timer does eight times a second."""
        self.app.tick()

    def fill_log(self, buffer: LogBuffer, job_id: str, *, bad: bool = False) -> None:
        """Put a plausible log into a buffer."""
        view = self.model.views[job_id]
        for seq, chunk in enumerate(chunks_of(job_id, view.test, at=self.clock.now() - 30, bad=bad), start=1):
            buffer.add(StoredChunk(stream_seq=seq, attempt=1, at=chunk.at, parts=chunk.parts, eof=chunk.eof))


@contextlib.asynccontextmanager
async def shown(
    played: PlayedDashboard, size: tuple[int, int] = (120, 40), theme: str | None = None
) -> AsyncGenerator[Pilot[None]]:
    """The dashboard on a screen of that size, drawn."""
    app = played.app
    app.animation_level = "none"
    if theme:
        app.theme = theme
    async with app.run_test(size=size) as pilot:
        await wait_for(lambda: app.screen.is_mounted and app.index.complete, what="the first screen")
        played.draw()
        await pilot.pause()
        yield pilot


def text_of(played: PlayedDashboard) -> str:
    """What the whole screen says."""
    return "\n".join(grid_of(played.app.export_screenshot()).text)
