"""What the placement core knows: jobs, slots and the state of the lab."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bus_schemas.jobs import labels_of
from qgjob.domain.estimates import Estimates
from qgjob.domain.placement.groups import Group, GroupsByOrg, level_of
from qgjob.domain.placement.index import Index
from qgjob.domain.placement.rules import Rules
from qgjob.domain.placement.run_gates import RunGates
from qgjob.domain.placement.stats import Stats

RELEASE_WINDOW_S: Final = 0.2
"""How much work may be released ahead for one slot: enough to hide the way to the scheduler."""
MAX_RELEASE_WINDOW: Final = 32
"""And how many jobs at most."""
OVERDUE_S: Final = 5.0
"""How much longer than expected a test may take before nothing waits behind it any more."""
AWAIT_REPORT_S: Final = 5.0
"""How long a slot that is believed to run a job may not report before another one is bound."""


class GroupKey(NamedTuple):
    """A group: jobs of one build of one organisation that need the same labels."""

    capability: str
    org_id: str
    app_version_id: str


Build = tuple[str, str]
"""(organisation, app_version_id)."""


@dataclass(slots=True, eq=False)
class Job:
    """A job as the core sees it, identified by `job_id`; one attempt of it waits at a time."""

    job_id: str
    group: GroupKey
    test: str
    priority: int
    """0 to 10; higher is more urgent."""
    arrived_at: float
    order: int
    """Its place in the backlog: what came first is smaller."""
    attempt: int = 1
    not_before: float | None = None
    expires_at: float | None = None
    avoid: tuple[str, ...] = ()
    """Slots on which earlier attempts met infrastructure errors."""
    run_id: str = ""
    expected_s: float | None = None
    """How long its test is expected to run; None: nothing is known of it."""
    max_parallel: int | None = None
    """How many jobs of its run may be in flight at once."""
    files: tuple[str, ...] = ()
    """Of a shard, the test files it runs."""
    delayed: bool = False
    """Is kept among the delayed, not in its group."""
    parked: bool = False
    """Is kept at the gate of its run, not in its group."""
    gone: bool = False
    """Left the backlog; heaps that still have it skip it."""

    @property
    def level(self) -> int:
        """0 for high, 1 for medium, 2 for low."""
        return level_of(self.priority)

    def __lt__(self, other: Job) -> bool:
        """Whether it waits longer."""
        return (self.arrived_at, self.order, self.attempt) < (other.arrived_at, other.order, other.attempt)


@dataclass(slots=True, eq=False)
class Slot:
    """One device, running one job at a time."""

    name: str
    labels: frozenset[str]
    available: bool = True
    """Its agent accepts jobs for it, and it is not withheld."""
    accepting: bool = True
    """Its agent accepts jobs for it."""
    note: str | None = None
    """Why its agent does not."""
    installed: frozenset[Build] = frozenset()
    bound: GroupKey | None = None
    """The group that it pulls from."""
    assigned: dict[str, Released] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]  # Released comes later
    """Jobs released for it and not ended, by id, the running one included; the first assigned is first."""
    last_used: float = 0.0
    works_on: Group | None = None
    """The group whose jobs are assigned to it, which counts it as a worker."""
    free_at: float = 0.0
    """When it is expected to be done with them."""
    counted_as: tuple[frozenset[str], bool] | None = None
    """The labels and the availability with which `Stats` counts it."""
    instance: str = "-"
    """Of its agent."""


class Withheld(NamedTuple):
    """Why nothing is given to a slot, or nothing of a build to any."""

    kind: str
    """`paused`, `draining`, `reserved`, `quarantined`, or `build_held`."""
    why: str
    until: float | None = None
    """When that ends by itself."""
    resume: str | None = None
    """What an operator would resume: the slot, or its whole agent."""


@dataclass(slots=True, eq=False)
class Released:
    """A job in flight: released and not ended."""

    job: Job
    slot: str | None
    """The slot it was meant for, or that runs it; None when none is known to."""
    started: bool = False
    ends_at: float = 0.0
    """When it is expected to end."""


@dataclass(slots=True)
class LabState:
    """All that placement decides upon."""

    estimates: Estimates = field(default_factory=Estimates)
    index: Index = field(default_factory=Index)
    stats: Stats = field(default_factory=Stats)
    groups: dict[GroupKey, Group] = field(default_factory=dict[GroupKey, Group])
    active: GroupsByOrg = field(default_factory=GroupsByOrg)
    """Groups with waiting or orphaned jobs."""
    blocked: GroupsByOrg = field(default_factory=GroupsByOrg)
    """The waiting jobs of groups of which nothing may start: they are paused, their build is held, their
    organisation is at its limit, there is no room for them, or they yield."""
    run_gates: RunGates = field(default_factory=RunGates)
    rules: Rules = field(default_factory=Rules)
    withheld: dict[str, Withheld] = field(default_factory=dict[str, Withheld])
    """Slots that nothing is given to, whether they are connected or not."""
    probing: set[str] = field(default_factory=set[str])
    """Slots that get one job at a time, until one tells whether they work."""
    held_builds: dict[Build, Withheld] = field(default_factory=dict[Build, Withheld])
    """Builds of which nothing starts."""
    org_in_flight: dict[str, int] = field(default_factory=dict[str, int])
    """How many jobs of each organisation are in flight."""
    groups_in_flight: dict[GroupKey, float] = field(default_factory=dict[GroupKey, float])
    """The groups with jobs in flight, and since when they have had room."""
    max_groups: int | None = None
    """How many groups may have jobs in flight; None: any number."""
    at_group_limit: bool = False
    """So many have: nothing starts of a group without jobs in flight."""
    room_left: dict[GroupKey, float] = field(default_factory=dict[GroupKey, float])
    """Groups that left room which no other group has taken, and since when they had had it."""
    yielding: dict[GroupKey, float] = field(default_factory=dict[GroupKey, float])
    """The groups of which nothing more starts until none of their jobs is in flight, as others wait for room;
    and since when."""
    rotated_at: float = float("-inf")
    """When it was last decided which groups yield."""
    refused: frozenset[GroupKey] = frozenset()
    """Groups with jobs in flight that no slot can pull yet, as there are too many groups."""
    slots: dict[str, Slot] = field(default_factory=dict[str, Slot])
    free: dict[str, Slot] = field(default_factory=dict[str, Slot])
    """Available slots that may be given work now."""
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    """Waiting jobs by id, delayed ones included."""
    in_flight: dict[str, Released] = field(default_factory=dict[str, Released])
    """Released jobs that have not ended, by id."""
    awaited: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    """By slot that has not reported itself yet: the jobs believed to run on it, and until when."""
    delayed: list[tuple[float, int, int, Job]] = field(default_factory=list[tuple[float, int, int, Job]])
    """A heap by the time before which they may not start."""
    expiring: list[tuple[float, int, int, Job]] = field(default_factory=list[tuple[float, int, int, Job]])
    """A heap by the time at which they expire."""
    depths: list[int] = field(default_factory=lambda: [0, 0, 0])
    """How many jobs wait, by level."""
    installs: int = 0
    installs_avoided: int = 0

    def group(self, key: GroupKey) -> Group:
        """The group of that key, made when there is none."""
        group = self.groups.get(key)
        if group is None:
            labels = labels_of(key.capability)
            group = self.groups[key] = Group(key, labels, self.index.changed, self.index.next_number())
        return group

    def is_kept_back(self, job: Job) -> bool:
        """Whether a job may not start by what people set: a pause, a held build, or a limit.

        An organisation at its limit is so too for the moment in which one of its jobs has just ended.
        """
        key = job.group
        in_flight = {key.org_id: self.org_in_flight.get(key.org_id, 0) + 1}
        return job.parked or key[1:] in self.held_builds or self.rules.blocks(key, in_flight)

    def expected_s(self, job: Job) -> float:
        """How long a job's test is expected to run."""
        return self.estimates.group(job.group) if job.expected_s is None else job.expected_s
