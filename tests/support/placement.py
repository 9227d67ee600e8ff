"""A small world for the placement core: it plays bus and agents, in random labs and histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeVar, get_args

from hypothesis import strategies as st

from bus_schemas.jobs import capability_of
from qgjob.domain.placement.core import apply_event, decide
from qgjob.domain.placement.events import (
    Bind,
    Effect,
    Event,
    Expire,
    JobArrived,
    JobEnded,
    JobStarted,
    JobWasReleased,
    JobWithdrawn,
    Release,
    SlotLost,
    SlotSeen,
    Tick,
)
from qgjob.domain.placement.model import Build, GroupKey, Job, LabState

T = TypeVar("T")

LABELS = ("emulator", "device", "android-14")


@dataclass
class World:
    """What the bus and the agents would do: released jobs wait in their group, bound slots take them."""

    state: LabState = field(default_factory=LabState)
    now: float = 1000.0
    bound: dict[str, GroupKey] = field(default_factory=dict[str, GroupKey])
    labels: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    released: dict[str, Job] = field(default_factory=dict[str, Job])
    running: dict[str, tuple[str, Job]] = field(default_factory=dict[str, tuple[str, Job]])
    installed: dict[str, frozenset[Build]] = field(default_factory=dict[str, "frozenset[Build]"])
    instances: dict[str, str] = field(default_factory=dict[str, str])
    holders: dict[str, str] = field(default_factory=dict[str, str])
    """Who last claimed a job, alive or not: what its chain says."""
    ended: list[str] = field(default_factory=list[str])
    expired: list[str] = field(default_factory=list[str])
    log: list[object] = field(default_factory=list[object])

    def feed(self, event: Event) -> None:
        _, effects = decide(self.state, event, self.now)
        self.log.extend(effects)
        for effect in effects:
            match effect:
                case Bind(slot, group):
                    assert slot in self.labels, "a lost slot was bound"
                    self.bound[slot] = group
                case Release(job, slot, because):
                    assert because
                    assert job.not_before is None or job.not_before <= self.now, "released before its time"
                    assert job.job_id not in self.released, "released twice"
                    assert job.job_id not in {j.job_id for _, j in self.running.values()}
                    wanted = self.state.groups[job.group].labels
                    assert wanted <= self.labels[slot], "released for a slot that cannot run it"
                    assert self.bound[slot] == job.group, "released for a slot that pulls elsewhere"
                    self.released[job.job_id] = job
                case Expire(job):
                    self.expired.append(job.job_id)
        assert_consistent(self.state)

    def add_slot(self, name: str, labels: Iterable[str]) -> None:
        self.labels[name] = frozenset(labels)
        self.feed(self.seen(name))

    def seen(self, name: str) -> SlotSeen:
        running = self.running.get(name)
        return SlotSeen(
            name,
            self.labels[name],
            True,
            self.installed.get(name, frozenset()),
            self.bound.get(name),
            running[1].job_id if running else None,
            self.instances.get(name, "-"),
            running[1].attempt if running else None,
        )

    def take(self, name: str) -> None:
        """A bound idle slot pulls whatever of its group comes first."""
        group = self.bound.get(name)
        if group is None or name in self.running:
            return
        for job in list(self.released.values()):
            if job.group == group:
                del self.released[job.job_id]
                self.running[name] = (name, job)
                self.holders[job.job_id] = name
                self.installed[name] = frozenset({group[1:]})
                self.feed(JobStarted(job.job_id, job.attempt, name))
                return

    def finish(self, name: str, ran_s: float = 5.0) -> None:
        if name in self.running:
            _, job = self.running.pop(name)
            self.ended.append(job.job_id)
            self.feed(JobEnded(job.job_id, job.attempt, name, ran_s, None, installed=False, good=True))

    def fail(self, name: str) -> None:
        """The slot's job is tried again elsewhere; its end is heard once more after that."""
        if name in self.running:
            _, job = self.running.pop(name)
            end = JobEnded(job.job_id, job.attempt, name, 5.0, None, installed=False, good=False)
            self.feed(end)
            avoid = (*job.avoid, name)[-2:]
            self.feed(
                JobArrived(replace(job, attempt=job.attempt + 1, avoid=avoid, gone=False, parked=False))
            )
            self.feed(end)

    def lose(self, name: str) -> None:
        """The slot dies: the work stream will give its job again."""
        if name in self.running:
            _, job = self.running.pop(name)
            self.released[job.job_id] = job
        self.bound.pop(name, None)
        self.labels.pop(name, None)
        self.installed.pop(name, None)
        self.feed(SlotLost(name))

    def restart(self, name: str) -> None:
        """The slot's agent is killed and is back under its name before anybody missed it."""
        if name in self.running:
            _, job = self.running.pop(name)
            self.released[job.job_id] = job
        self.bound.pop(name, None)
        self.instances[name] = f"{len(self.log)}"
        self.report(name)

    def report(self, name: str) -> None:
        """A slot reports itself and, if it is bound elsewhere than it says, is told so again."""
        self.feed(self.seen(name))
        if bound := self.state.slots[name].bound:
            self.bound[name] = bound

    def perform(self, what: str, name: str) -> None:
        """A slot that is there takes a job, finishes one, or dies; what it does otherwise is to report itself."""
        if name not in self.labels:
            return
        match what:
            case "take":
                self.take(name)
            case "finish":
                self.finish(name)
            case "lose":
                self.lose(name)
            case _:
                self.report(name)

    def depose(self) -> None:
        """Another leader takes over: it finds what waits and what is out, and hears slots again."""
        waiting = [j for j in self.state.jobs.values() if not j.delayed]
        self.state = LabState()
        holders = {j.job_id: name for name, (_, j) in self.running.items()}
        for job in [*self.released.values(), *(j for _, j in self.running.values())]:
            self.apply_event(JobWasReleased(job, holders.get(job.job_id) or self.holders.get(job.job_id)))
        for job in waiting:
            self.apply_event(JobArrived(job))
        self.feed(Tick())

    def apply_event(self, event: Event) -> None:
        effects: list[Effect] = []
        apply_event(self.state, event, self.now, effects)
        assert not effects

    def run_dry(self) -> None:
        """Let all slots work until nothing moves any more."""
        for _ in range(2000):
            before = len(self.ended)
            for name in sorted(self.labels):
                self.take(name)
            self.now += 1.0
            for name in sorted(self.labels):
                self.finish(name)
            self.feed(Tick())
            if len(self.ended) == before and not self.running:
                return


def assert_consistent(state: LabState) -> None:
    """All indices say the same as the jobs, the released and the slots."""
    undelayed = [j for j in state.jobs.values() if not j.delayed]
    waiting = [j for j in undelayed if not j.parked and j.group not in state.blocked]
    for key, blocked in state.blocked.items():
        expected = {j.job_id for j in undelayed if j.group == key and not j.parked}
        assert {j.job_id for j in blocked.jobs()} == expected
        assert blocked.waiting == len(expected) > 0
        assert must_block(state, key), "on a blocked without a reason"
    assert not any(must_block(state, j.group) for j in waiting), "may not start, but waits"
    assert state.depths == [sum(j.level == level for j in state.jobs.values()) for level in range(3)]
    assert not set(state.jobs) & set(state.in_flight), "waits and is out"
    keys = {j.group for j in waiting} | {r.job.group for r in state.in_flight.values()}
    assert keys | {slot.bound for slot in state.slots.values() if slot.bound} == set(state.groups)
    for key, group in state.groups.items():
        assert group.key == key
        mine = {j.job_id for j in waiting if j.group == key}
        assert {j.job_id for j in group.jobs()} == mine
        assert group.waiting == len(mine)
        assert group.in_flight == sum(r.job.group == key for r in state.in_flight.values())
        assert group.slots == {slot.name for slot in state.slots.values() if slot.bound == key}
        assert group.orphans == {
            i for i, r in state.in_flight.items() if r.job.group == key and r.slot is None
        }
        assert (key in state.active) == bool(group.waiting or group.orphans)
        assert state.active.get(key, group) is group
    assert set(state.active) <= set(state.groups)
    for name, slot in state.slots.items():
        assert slot.assigned == {i: r for i, r in state.in_flight.items() if r.slot == name}
        assert slot.available or name not in state.free
        if slot.available and not slot.assigned:
            assert state.free.get(name) is slot, "an idle slot gets nothing"
        for released in slot.assigned.values():
            assert released.started or released.job.group == slot.bound, "held, but pulled by nobody"
    assert set(state.free) <= set(state.slots)
    works_for = [slot.works_on.key.org_id for slot in state.slots.values() if slot.works_on is not None]
    assert state.index.orgs.slots == Counter(works_for)
    assert set(state.groups_in_flight) == {released.job.group for released in state.in_flight.values()}
    assert not state.at_group_limit or state.max_groups is not None
    for job_id, released in state.in_flight.items():
        assert released.slot is not None or not released.started
        assert released.slot is None or released.slot in state.slots or released.slot in state.awaited, job_id


def must_block(state: LabState, key: GroupKey) -> bool:
    out = any(released.job.group == key for released in state.in_flight.values())
    return (
        key[1:] in state.held_builds
        or state.rules.blocks(key, state.org_in_flight)
        or (state.at_group_limit and not out)
        or key in state.yielding
        or key in state.refused
    )


def job(
    number: int,
    *,
    app: str = "v1",
    org: str = "o",
    labels: Iterable[str] = (),
    priority: int = 5,
    at: float = 0.0,
    attempt: int = 1,
    avoid: tuple[str, ...] = (),
) -> Job:
    return Job(
        f"j{number}",
        GroupKey(capability_of(tuple(labels)), org, app),
        f"t{number}",
        priority,
        at,
        number,
        attempt,
        avoid=avoid,
    )


class NewJob(NamedTuple):
    """A job of a random history."""

    app: str
    org: str
    labels: tuple[str, ...]
    priority: int


StepKind = Literal["slot", "lose", "take", "finish", "tick", "seen", "cancel", "restart", "depose", "fail"]


class Step(NamedTuple):
    """Something that happens in a random history, to the slot (or waiting job) of that number."""

    kind: StepKind
    number: int


History = list[NewJob | Step]
_WORK: tuple[StepKind, ...] = ("take", "finish")
STEP_KINDS: tuple[StepKind, ...] = (*get_args(StepKind), "slot", "slot", *_WORK, *_WORK, *_WORK, *_WORK)
"""As often as they come: most of what happens is work."""


def long_lists(elements: st.SearchStrategy[T], max_size: int) -> st.SearchStrategy[list[T]]:
    """Lists of any length up to that. Hypothesis' own have five elements on average, in which little happens."""
    return st.integers(0, max_size).flatmap(lambda size: st.lists(elements, min_size=size, max_size=size))


def label_sets() -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(st.sampled_from(LABELS), max_size=2).map(lambda chosen: tuple(sorted(chosen)))


new_jobs = st.builds(
    NewJob, st.sampled_from(["v1", "v2", "v3"]), st.sampled_from(["o", "p"]), label_sets(), st.integers(1, 10)
)
other_steps = st.builds(Step, st.sampled_from(STEP_KINDS), st.integers(0, 5))
histories: st.SearchStrategy[History] = long_lists(st.one_of(new_jobs, other_steps), 120)


def play(history: History, world: World | None = None) -> tuple[World, set[str]]:
    world = world or World()
    cancelled: set[str] = set()
    for number, step in enumerate(history):
        world.now += 0.5
        if isinstance(step, NewJob):
            new = job(
                number, app=step.app, org=step.org, labels=step.labels, priority=step.priority, at=world.now
            )
            new.test = f"t{number % 9}"
            world.feed(JobArrived(new))
            continue
        name = f"a/s{step.number}"
        if step.kind == "slot":
            if name not in world.labels:
                world.add_slot(name, LABELS[: 1 + step.number % 3])
        elif step.kind == "tick":
            world.feed(Tick())
        elif step.kind == "depose":
            world.depose()
            for known in sorted(world.labels):
                if step.number % 2:
                    world.report(known)
        elif step.kind == "cancel":
            if waiting := sorted(world.state.jobs):
                victim = waiting[step.number % len(waiting)]
                cancelled.add(victim)
                world.feed(JobWithdrawn(victim))
        elif name in world.labels:
            match step.kind:
                case "lose":
                    world.lose(name)
                case "take":
                    world.take(name)
                case "finish":
                    world.finish(name, ran_s=5.0 + number % 7)
                case "fail":
                    world.fail(name)
                case "seen":
                    world.report(name)
                case "restart":
                    world.restart(name)
    return world, cancelled


def released(world: World) -> list[str]:
    return [effect.job.job_id for effect in world.log if isinstance(effect, Release)]
