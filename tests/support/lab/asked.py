"""What is asked of a played lab: its heartbeats, its overview, its runs."""

from __future__ import annotations

from collections import Counter

from bus_schemas.agents import DeviceHealth, Heartbeat, InstalledBuild, SlotStatus
from bus_schemas.agents import GroupRef as Group
from bus_schemas.jobs import capability_of, priority_class
from bus_schemas.queries import GroupView, LeaderView, Overview, RunView
from tests.support.lab.model import START, LabModel, PlayedJob, PlayedSlot


def heartbeats(model: LabModel) -> list[Heartbeat]:
    """Each agent's heartbeat."""
    return [
        Heartbeat(
            agent=agent,
            host=f"{agent}.lab.example",
            pid=4000 + i,
            version="0.1.0",
            started_at=started,
            at=model.now,
            slots=tuple(
                _slot_status(model, number, slot)
                for number, slot in enumerate(model.lab)
                if slot.agent == agent
            ),
        )
        for i, (agent, started) in enumerate(model.started_at.items())
    ]


def _slot_status(model: LabModel, number: int, slot: PlayedSlot) -> SlotStatus:
    return SlotStatus(
        name=slot.name,
        driver="process",
        device=slot.device,
        state=slot.state,  # type: ignore[arg-type]
        labels=slot.labels,
        installed=(InstalledBuild(org_id=slot.build[0], app_version_id=slot.build[1]),) if slot.build else (),
        job_id=slot.job.spec.job_id if slot.job else None,
        since=slot.since,
        installs=slot.installs,
        jobs_done=slot.done,
        note=slot.note,
        health=_health(number, slot, model.now),
    )


def overview(model: LabModel) -> Overview:
    """What the leader would say."""
    ready = [job for job in model.waiting if job.not_before <= model.now]
    depths = {"high": 0, "medium": 0, "low": 0}
    groups: dict[tuple[str, str, str], list[PlayedJob]] = {}
    for job in ready:
        depths[priority_class(job.spec.priority)] += 1
        groups.setdefault(_group(job), []).append(job)
    working: dict[tuple[str, str, str], list[PlayedSlot]] = {}
    for slot in model.lab:
        if slot.job is not None:
            working.setdefault(_group(slot.job), []).append(slot)
            groups.setdefault(_group(slot.job), [])
    installed = Counter(slot.build for slot in model.lab if slot.installs > 0)
    views = [
        GroupView(
            group=Group(capability=key[0], org_id=key[1], app_version_id=key[2]),
            waiting=max(0, len(jobs) - 2),
            released=min(2, len(jobs)),
            running=len(working.get(key, ())),
            slots=tuple(f"{s.agent}/{s.name}" for s in working.get(key, ())),
            oldest_wait_s=max((model.now - job.queued_at for job in jobs), default=None),
            installs=installed[key[1:]],
            expected_end=model.now + model.mean_test_s * (len(jobs) / len(working[key]) + 0.5)
            if key in working
            else None,
        )
        for key, jobs in groups.items()
    ]
    views.sort(key=lambda view: (-(view.waiting + view.released), view.group.app_version_id))
    busy = sum(slot.job is not None for slot in model.lab)
    return Overview(
        at=model.now,
        leader=LeaderView(replica="sched-a", epoch=model.epoch, since=START - 7200),
        depths=depths,
        waiting=len(ready),
        delayed=len(model.waiting) - len(ready),
        running=busy,
        slots_idle=sum(slot.state == "idle" for slot in model.lab),
        slots_busy=busy,
        installs=model.installs,
        installs_avoided=model.avoided,
        ended=dict(model.ended),
        dead_letters=model.dead_letters,
        oldest_wait_s=max((model.now - job.queued_at for job in ready), default=None),
        groups=tuple(views),
        groups_total=len(views),
    )


def run_view(model: LabModel, run_id: str) -> RunView | None:
    """A run with its jobs."""
    if run_id not in model.runs:
        return None
    org, at = model.runs[run_id]
    jobs = tuple(view for view in model.views.values() if view.run_id == run_id)
    counts: dict[str, int] = {}
    for view in jobs:
        counts[view.state] = counts.get(view.state, 0) + 1
    return RunView(
        run_id=run_id,
        org_id=org,
        name=model.run_names.get(run_id),
        state="running",
        size=len(jobs),
        counts=counts,
        created_at=at,
        jobs=jobs,
    )


def _health(number: int, slot: PlayedSlot, now: float) -> DeviceHealth:
    """A phone tells of its battery too; the ninth slot's is nearly empty."""
    if slot.device is None:
        return DeviceHealth(at=now, ok=True, free_mib=64_000 - 900 * number)
    battery = 17 if number == 8 else 91 - 5 * number
    return DeviceHealth(
        at=now,
        ok=True,
        battery_percent=battery,
        temperature_c=24 + number % 7,
        free_mib=5200 + 311 * number,
    )


def _group(job: PlayedJob) -> tuple[str, str, str]:
    return capability_of(job.spec.requires), job.spec.org_id, job.spec.app_version_id
