"""The dashboard on a play of the lab, without a bus: for pictures, and for tests of the screens."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from textual.pilot import Pilot

from bus_schemas.events import AnyEvent
from bus_schemas.explain import ExplainAnswer, SlotsWhy
from bus_schemas.logs import StoredChunk
from bus_schemas.queries import Overview
from tests.support.clock import ManualClock
from tests.support.lab import asked
from tests.support.lab.model import START, LabModel
from tests.support.lab.output import chunks_of
from tests.support.pictures import lines_of
from tests.support.wait import wait_for
from tui.app import DashboardApp
from tui.operations.catalog import Operation
from tui.screens.reading import Reading
from tui.store.log import LogBuffer
from tui.store.store import Store
from tui.widgets.explanation import explanation
from tui.widgets.key_bar import Key, KeyBar


class RecordingApp(DashboardApp):
    """Without a bus: what would be done is written down."""

    def __init__(self, *, store: Store, read_only: bool) -> None:
        super().__init__(store=store, read_only=read_only)
        self.operations: list[Operation] = []

    @property
    def cancelled(self) -> list[str]:
        """The jobs that would have been cancelled."""
        return [
            job_id
            for operation in self.operations
            if operation.verb == "cancel"
            for job_id in operation.targets
        ]

    def execute(self, operation: Operation) -> None:
        """Write it down."""
        self.operations.append(operation)


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
                self.apply_event(event)
            overview = self.publish_state()
            self.store.history.sample(
                self.clock.monotonic(), overview.depths, overview.running, self.store.waiting_by_capability()
            )

    def apply_event(self, event: AnyEvent) -> None:
        """Let the store hear an event of the model."""
        self.seq += 1
        self.store.apply_event(event, self.seq)

    def publish_state(self) -> Overview:
        """The overview, which is returned, and the heartbeats of this moment."""
        overview = asked.overview(self.model)
        self.store.apply_overview(overview)
        for beat in asked.heartbeats(self.model):
            self.store.apply_heartbeat(beat)
        return overview

    def open_failed_run(self) -> None:
        """Show a run some of whose jobs failed, with what a CI build says of it."""
        runs = self.store.jobs.runs
        run = max(runs.latest(), key=lambda run: (run.failed, run.run_id))
        meta = {"branch": "main", "commit": "4f1c2ab", "pr": "1287"}
        runs.update(run.run_id, run.org_id, name="nightly", meta=meta)
        self.app.open_run(run.run_id)

    def explain_waiting(self) -> None:
        """Show why a job waits, with a slot that is busy and one that is held."""
        job = next(j for i in self.app.index if (j := self.store.jobs.get(i)) and j.state == "queued")
        self.app.open_job(job.job_id)
        answer = ExplainAnswer(
            job_id=job.job_id,
            state="queued",
            summary="It waits for a slot: those that can run it are busy.",
            ahead=3,
            starts_at=self.clock.now() + 40,
            slots=(
                SlotsWhy(kind="busy", why="They run other jobs.", count=2, slots=("lab-1/s0", "lab-2/s1")),
                SlotsWhy(kind="held", why="In quarantine.", count=1, slots=("lab-1/s3",)),
            ),
            slots_total=3,
            changes=(f"Make it more urgent: qgjob reprioritise {job.job_id} 10",),
        )
        reading = Reading(f"Why is {job.job_id} where it is?")
        reading.show(lambda width: explanation(answer, width))
        self.app.push_screen(reading)

    def live(self) -> None:
        """As if connected and up to date."""
        self.store.link.set_phase("live", self.clock.monotonic())

    def draw(self) -> None:
        """What the timer does eight times a second."""
        self.app.tick()

    def log_of(self, job_id: str, *, bad: bool = False) -> list[StoredChunk]:
        """A plausible log."""
        view = self.model.views[job_id]
        return [
            StoredChunk(stream_seq=seq, attempt=1, at=chunk.at, parts=chunk.parts, eof=chunk.eof)
            for seq, chunk in enumerate(
                chunks_of(job_id, view.test, at=self.clock.now() - 30, bad=bad), start=1
            )
        ]

    def fill_log(self, buffer: LogBuffer, job_id: str, *, bad: bool = False) -> None:
        """Put a plausible log into a buffer."""
        for chunk in self.log_of(job_id, bad=bad):
            buffer.add(chunk)


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
    return "\n".join(lines_of(played.app))


def keys_shown(app: DashboardApp) -> list[Key]:
    """The keys that stand at the bottom of the screen."""
    return [key for bar in app.screen.query(KeyBar) for key in bar.shown]
