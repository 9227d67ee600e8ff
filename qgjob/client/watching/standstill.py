"""Explains why none of the jobs that are waited for starts, from the overview and the slots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from bus_schemas.agents import SlotStatus
from bus_schemas.jobs import capability_of
from bus_schemas.queries import JobView, Overview, PauseView
from qgjob.clock import rfc3339
from qgjob.domain.commands import resume_queue
from qgjob.domain.placement.model import GroupKey
from qgjob.domain.placement.rules import Pause
from qgjob.domain.wording import first_of

_WORKING: Final = frozenset({"idle", "busy"})
_SHOWN: Final = 3


def standstill(
    jobs: Sequence[JobView], overview: Overview, slots: Sequence[tuple[str, SlotStatus]]
) -> str | None:
    """A sentence on what blocks all of these waiting jobs; None when they only wait for their turn."""
    ours = {(job.org_id, job.app_version_id) for job in jobs}
    for hold in overview.builds_held:
        if (hold.org_id, hold.app_version_id) in ours:
            until = rfc3339(hold.until) or "later"
            return f"Nothing of it starts until {until}: {hold.why}. More: qgjob explain {jobs[0].job_id}"
    pause = _pause_of_all(jobs, overview.pauses)
    if pause is not None:
        return f"Nothing of it starts: {_told(pause)}"
    held = _held_slots({frozenset(job.requires) for job in jobs}, slots)
    if held:
        shown = first_of([f"{name} ({slot.state})" for name, slot in held], _SHOWN)
        return (
            f"Nothing of it starts: all slots that could run it are held back: {shown}. "
            "Who did it, and why: qgjob agents list"
        )
    return None


def _pause_of_all(jobs: Iterable[JobView], pauses: Sequence[PauseView]) -> PauseView | None:
    """One of the pauses, when every job is covered by one."""
    keys = {GroupKey(capability_of(job.requires), job.org_id, job.app_version_id) for job in jobs}
    found = [
        next((pause for pause in pauses if Pause(pause.org_id, pause.capability).covers(key)), None)
        for key in sorted(keys)
    ]
    return None if None in found else next(iter(found), None)


def _held_slots(
    needs: Iterable[frozenset[str]], slots: Sequence[tuple[str, SlotStatus]]
) -> list[tuple[str, SlotStatus]]:
    """The slots that could run the jobs, when all of them are held; empty when no slot could."""
    held: dict[str, SlotStatus] = {}
    for wanted in needs:
        could = {name: slot for name, slot in slots if wanted <= set(slot.labels)}
        if not could or any(slot.state in _WORKING for slot in could.values()):
            return []
        held |= could
    return sorted(held.items())


def _told(pause: PauseView) -> str:
    what = [f"the organisation {pause.org_id}"] if pause.org_id else []
    what += [f"the capability {pause.capability}"] if pause.capability else []
    note = f": {pause.note.rstrip('.')}" if pause.note else ""
    lift = resume_queue(pause.org_id, pause.capability)
    return f"{' with '.join(what) or 'the whole queue'} was paused by {pause.by}{note}. It ends with: {lift}"
