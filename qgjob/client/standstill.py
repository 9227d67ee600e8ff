"""Why nothing starts of what is waited for, as far as the leader's overview tells it."""

from __future__ import annotations

from collections.abc import Sequence

from bus_schemas.jobs import capability_of
from bus_schemas.requests import JobView, Overview, PauseView
from qgjob.clock import rfc3339
from qgjob.domain.commands import resume_queue
from qgjob.domain.placement.gates import Pause
from qgjob.domain.placement.model import GroupKey


def standstill(jobs: Sequence[JobView], overview: Overview) -> str | None:
    """A sentence on what holds all of these waiting jobs up; None when they only wait for their turn."""
    ours = {(job.org_id, job.app_version_id) for job in jobs}
    for hold in overview.builds_held:
        if (hold.org_id, hold.app_version_id) in ours:
            until = rfc3339(hold.until) or "later"
            return f"Nothing of it starts until {until}: {hold.why}. More: qgjob explain {jobs[0].job_id}"
    paused = [_pause_of(job, overview.pauses) for job in jobs]
    if paused and paused[0] is not None and None not in paused:
        return f"Nothing of it starts: {_told(paused[0])}"
    if overview.slots_held and not overview.slots_idle and not overview.slots_busy:
        slots = "the only slot is" if overview.slots_held == 1 else f"all {overview.slots_held} slots are"
        return f"Nothing of it starts: {slots} held back from work. Who did it, and why: qgjob agents list"
    return None


def _pause_of(job: JobView, pauses: Sequence[PauseView]) -> PauseView | None:
    key = GroupKey(capability_of(job.requires), job.org_id, job.app_version_id)
    return next((pause for pause in pauses if Pause(pause.org_id, pause.capability).holds(key)), None)


def _told(pause: PauseView) -> str:
    what = [f"the organisation {pause.org_id}"] if pause.org_id else []
    what += [f"the capability {pause.capability}"] if pause.capability else []
    note = f": {pause.note.rstrip('.')}" if pause.note else ""
    lift = resume_queue(pause.org_id, pause.capability)
    return f"{' with '.join(what) or 'the whole queue'} was paused by {pause.by}{note}. It ends with: {lift}"
