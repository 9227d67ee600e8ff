"""The one place where the dashboard's knowledge stands; screens read it, the feed writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qgjob.domain.lifecycle import BAD_ENDS
from tui.store.history import History
from tui.store.jobs import JobBook
from tui.store.lab import Lab
from tui.store.laberrors import LabErrors
from tui.store.link import Link
from tui.store.slot_ends import SlotEnds
from tui.store.waits import Waits

if TYPE_CHECKING:
    from bus_schemas.agents import Heartbeat
    from bus_schemas.events import AnyEvent
    from bus_schemas.queries import JobView, Overview
    from qgjob.clock import Clock


@dataclass(slots=True)
class Changes:
    """What is new since the last look; the screen draws no more than this."""

    jobs: set[str] = field(default_factory=set[str])
    overview: bool = False
    lab: bool = False
    link: bool = False
    second: bool = False
    """Whether a new second began: ages and plots move on."""

    def __bool__(self) -> bool:
        return bool(self.jobs) or self.overview or self.lab or self.link or self.second


class Store:
    """Snapshot and events flow in, in any order and any number of times; `take` tells what is new."""

    def __init__(self, clock: Clock, *, server: str = "", max_jobs: int | None = None) -> None:
        self.clock = clock
        self.jobs = JobBook(max_jobs) if max_jobs else JobBook()
        self.lab = Lab()
        self.link = Link(server=server, since=clock.monotonic(), last_activity=clock.monotonic())
        self.history = History(self.clock.now())
        self.slot_ends = SlotEnds()
        self.waits = Waits()
        self.lab_errors = LabErrors()
        self.failures_seen = 0
        """Jobs that were heard to fail, since the beginning."""
        self.overview: Overview | None = None
        self.unreadable = 0
        """Messages off the bus that could not be read."""
        self._overview_changed = False

    def apply_event(self, event: AnyEvent, seq: int, *, at: float | None = None) -> None:
        """Take in an event of the event stream; a replay says `at` what time of the tape."""
        before = self.jobs.get(event.job_id)
        was = before.ended if before else False
        job = self.jobs.apply_event(event, seq, self.clock.now())
        if event.kind == "started" and event.attempt == 1 and (begin := job.queued_at or job.created_at):
            self.waits.record(job.job_id, event.at - begin)
        if event.kind == "ended":
            self.slot_ends.record(job)
        self.lab_errors.record(job, self.clock.now())
        if job.ended and not was and event.kind == "ended":
            self.history.count_end(self.clock.now() if at is None else at)
            self.failures_seen += job.state in BAD_ENDS

    def apply_overview(self, overview: Overview) -> bool:
        """Take in the scheduler's overview; an older one, or one of a past reign, changes nothing."""
        if self.overview is not None and _version(overview) <= _version(self.overview):
            return False
        self.overview = overview
        self._overview_changed = True
        return True

    def apply_heartbeat(self, beat: Heartbeat, *, snapshot: bool = False) -> None:
        """Take in an agent's heartbeat; one of a snapshot may be some seconds old."""
        age = min(max(0.0, self.clock.now() - beat.at), 60.0) if snapshot else 0.0
        self.lab.apply_heartbeat(beat, self.clock.monotonic(), age_s=age)

    def apply_view(self, view: JobView) -> bool:
        """Take in a job of a snapshot; returns whether it told anything new."""
        news = self.jobs.apply_view(view, self.clock.now())
        job = self.jobs.get(view.job_id) if news else None
        if job is not None:
            self.slot_ends.record(job)
            if view.state == "errored":
                self.lab_errors.record(job, self.clock.now())
        return news

    def waiting_by_capability(self) -> dict[str, int]:
        """How many jobs wait, by the labels that they need: the same jobs that the depths count."""
        found: dict[str, int] = {}
        for view in self.overview.groups if self.overview else ():
            if view.waiting:
                found[view.group.capability] = found.get(view.group.capability, 0) + view.waiting
        return found

    def reset(self, since: float | None = None) -> None:
        """Nothing that was heard counts: it is another server, or a tape from its beginning, `since`."""
        self.jobs.clear()
        self.lab.clear()
        self.slot_ends = SlotEnds()
        self.waits = Waits()
        self.lab_errors = LabErrors()
        self.history = History(self.clock.now() if since is None else since)
        self.overview = None
        self._overview_changed = True

    def take_changes(self) -> Changes:
        """What changed since the last call; called by the timer that draws."""
        monotonic = self.clock.monotonic()
        self.jobs.promote_due(self.clock.now())
        depths = self.overview.depths if self.overview else {}
        running = self.overview.running if self.overview else 0
        second = self.history.sample(monotonic, depths, running, self.waiting_by_capability())
        if second:
            self.lab.sweep(monotonic)
        changes = Changes(
            self.jobs.take_changed(), self._overview_changed, self.lab.changed, self.link.changed, second
        )
        self._overview_changed = self.lab.changed = self.link.changed = False
        return changes


def _version(overview: Overview) -> tuple[int, float]:
    return (overview.leader.epoch if overview.leader else 0, overview.at)
