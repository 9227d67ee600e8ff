"""The overview and the agents as the jobs alone tell them: in a replay nobody else does."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from bus_schemas.agents import GroupRef, Heartbeat, InstalledBuild, SlotStatus
from bus_schemas.jobs import capability_of, priority_class
from bus_schemas.queries import GroupView, Overview
from tui.store.job import Job
from tui.store.jobs import JobBook

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_GROUPS = 200
_Group = tuple[str, str, str]


def rebuilt_overview(book: JobBook, now: float, *, idle: int = 0) -> Overview:
    """Depths, groups and counts of a moment, with so many slots idle."""
    depths: Counter[str] = Counter({"high": 0, "medium": 0, "low": 0})
    ended: Counter[str] = Counter()
    waiting: Counter[_Group] = Counter()
    released: Counter[_Group] = Counter()
    running: Counter[_Group] = Counter()
    slots: dict[_Group, set[str]] = defaultdict(set)
    oldest: dict[_Group, float] = {}
    delayed = 0
    for job in _jobs(book):
        group = (capability_of(job.spec.requires) if job.spec else "any", job.org_id, job.app_version_id)
        if job.ended:
            ended[job.state] += 1
        elif job.active:
            released[group] += 1
            running[group] += job.at_work
            if job.slot_name:
                slots[group].add(job.slot_name)
        else:
            delayed += job.state == "scheduled"
            waiting[group] += 1
            depths[priority_class(job.priority or 5)] += 1
            since = job.queued_at or job.created_at or now
            oldest[group] = min(since, oldest.get(group, since))
    groups = sorted(set(waiting) | set(released), key=lambda g: (-waiting[g], -released[g], g))
    return Overview(
        at=now,
        depths=dict(depths),
        waiting=sum(waiting.values()),
        delayed=delayed,
        running=sum(running.values()),
        slots_busy=sum(running.values()),
        slots_idle=idle,
        ended=dict(ended),
        oldest_wait_s=max(0.0, now - min(oldest.values())) if oldest else None,
        groups=tuple(
            GroupView(
                group=GroupRef(capability=g[0], org_id=g[1], app_version_id=g[2] or "-"),
                waiting=waiting[g],
                released=released[g],
                running=running[g],
                slots=tuple(sorted(slots[g])),
                oldest_wait_s=max(0.0, now - oldest[g]) if g in oldest else None,
            )
            for g in groups[:_MAX_GROUPS]
        ),
        groups_total=len(groups),
    )


def rebuilt_agents(book: JobBook, now: float) -> list[Heartbeat]:
    """Every slot that a job was seen on, busy or idle, with the build that it had last."""
    at_work: dict[tuple[str, str], Job] = {}
    last: dict[tuple[str, str], Job] = {}
    for job in _jobs(book):
        if not job.agent:
            continue
        place = (job.agent, job.slot)
        if job.at_work:
            at_work[place] = job
        known = last.get(place)
        if known is None or (job.started_at or 0.0) > (known.started_at or 0.0):
            last[place] = job
    agents: dict[str, list[SlotStatus]] = defaultdict(list)
    for place, job in sorted(last.items()):
        busy = at_work.get(place)
        build = (busy or job).app_version_id
        agents[place[0]].append(
            SlotStatus(
                name=place[1],
                driver="-",
                device=(busy or job).device or None,
                state="busy" if busy else "idle",
                job_id=busy.job_id if busy else None,
                since=(busy.started_at if busy else job.ended_at) or None,
                installed=(InstalledBuild(org_id=job.org_id, app_version_id=build),) if build else (),
            )
        )
    return [
        Heartbeat(agent=name, host="-", pid=0, version="-", started_at=0.0, at=now, slots=tuple(slots))
        for name, slots in agents.items()
    ]


def _jobs(book: JobBook) -> Iterable[Job]:
    return (job for job_id in book if (job := book.get(job_id)) is not None)
