"""What the placement core knows (state), hears (events) and wants (effects)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bus_schemas.jobs import labels_of
from qgjob.domain.estimates import Estimates
from qgjob.domain.placement.gates import Gates, Rules
from qgjob.domain.placement.groups import Group, level_of
from qgjob.domain.placement.index import Index
from qgjob.domain.placement.stats import Stats

WINDOW_S: Final = 0.2
"""How much work may be released ahead for one slot: enough to hide the way to the scheduler."""
MAX_WINDOW: Final = 32
OVERDUE_S: Final = 5.0
"""How much longer than expected a test may take before nothing waits behind it any more."""
AWAIT_S: Final = 5.0
"""How long a slot that is said to run something may keep silent before somebody else is bound to it."""


class GroupKey(NamedTuple):
    """A group: jobs of one build of one organisation that need the same labels."""

    capability: str
    org_id: str
    app_version_id: str


Build = tuple[str, str]
"""(organisation, app_version_id)."""


@dataclass(slots=True, eq=False)
class Job:
    """A job as the core sees it. Jobs are told apart by `job_id`; one attempt waits at a time."""

    job_id: str
    group: GroupKey
    test: str
    priority: int
    arrived_at: float
    order: int
    """Its place in the backlog: what came first is smaller."""
    attempt: int = 1
    not_before: float | None = None
    expires_at: float | None = None
    avoid: tuple[str, ...] = ()
    run_id: str = ""
    expected_s: float | None = None
    """How long its test is expected to run; None: nothing is known of it."""
    max_parallel: int | None = None
    """How many jobs of its run may be out at once."""
    files: tuple[str, ...] = ()
    """Of a shard, the test files it runs."""
    delayed: bool = False
    """Stands among the delayed, not in its group."""
    parked: bool = False
    """Stands at the gate of its run, not in its group."""
    gone: bool = False
    """Left the backlog while it stood in a heap."""

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
    """False while it is withheld, or its agent says that it takes nothing."""
    open: bool = True
    """False while its agent says that it takes nothing."""
    note: str | None = None
    """Why it takes nothing, as its agent says."""
    installed: frozenset[Build] = frozenset()
    bound: GroupKey | None = None
    held: dict[str, Released] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]  # Released comes later
    """Jobs released for it and not ended, the running one included."""
    last_used: float = 0.0
    works_on: Group | None = None
    """The group whose jobs it holds, and counts for."""
    until: float = 0.0
    """When it is expected to be done with what it holds."""
    counted: tuple[frozenset[str], bool] | None = None
    """The labels and availability that were counted with."""
    instance: str = "-"


class Withheld(NamedTuple):
    """Why nothing is given to a slot, or nothing of a build to anybody."""

    kind: str
    """`paused`, `draining`, `reserved`, `quarantined`, or `build_held`."""
    why: str
    until: float | None = None
    """When that ends by itself."""
    resume: str | None = None
    """What an operator would resume: the slot, or its whole agent."""


@dataclass(slots=True, eq=False)
class Released:
    """A job that is out: released and not ended."""

    job: Job
    slot: str | None
    """The slot it was meant for, or that runs it; None when nobody is known to."""
    started: bool = False
    until: float = 0.0
    """When it is expected to end."""


@dataclass(slots=True)
class LabState:
    """All that placement decides upon."""

    estimates: Estimates = field(default_factory=Estimates)
    index: Index = field(default_factory=Index)
    stats: Stats = field(default_factory=Stats)
    groups: dict[GroupKey, Group] = field(default_factory=dict[GroupKey, Group])
    active: dict[GroupKey, Group] = field(default_factory=dict[GroupKey, Group])
    """Groups with waiting or orphaned jobs."""
    shelved: dict[GroupKey, Group] = field(default_factory=dict[GroupKey, Group])
    """What waits in groups of which nothing may start, and nothing else of them: they are paused, their build
    is held, their organisation is at its limit, there is no room for them, or they yield."""
    gates: Gates = field(default_factory=Gates)
    rules: Rules = field(default_factory=Rules)
    withheld: dict[str, Withheld] = field(default_factory=dict[str, Withheld])
    """Slots that nothing is given to, whether they are connected or not."""
    probing: set[str] = field(default_factory=set[str])
    """Slots that get one job at a time, until one tells whether they work."""
    held_builds: dict[Build, Withheld] = field(default_factory=dict[Build, Withheld])
    org_out: dict[str, int] = field(default_factory=dict[str, int])
    """How many jobs of each organisation are out."""
    org_slots: dict[str, int] = field(default_factory=dict[str, int])
    """How many slots hold jobs of each organisation."""
    groups_out: dict[GroupKey, float] = field(default_factory=dict[GroupKey, float])
    """The groups of which jobs are out, and since when; the longest first."""
    most_groups: int | None = None
    """Of how many there may be; None: of any number."""
    full: bool = False
    """Nothing of a group starts of which no job is out: there are as many groups as there may be."""
    yields: dict[GroupKey, float] = field(default_factory=dict[GroupKey, float])
    """The groups of which nothing more starts until none of their jobs is out, as others wait for room; and
    since when."""
    judged_at: float = float("-inf")
    """When it was looked last which group has to yield."""
    refused: frozenset[GroupKey] = frozenset()
    """Groups of which jobs are out that no slot can pull yet, for the same reason."""
    slots: dict[str, Slot] = field(default_factory=dict[str, Slot])
    free: dict[str, Slot] = field(default_factory=dict[str, Slot])
    """Available slots that may be given work now."""
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    """Waiting jobs, delayed ones included."""
    out: dict[str, Released] = field(default_factory=dict[str, Released])
    awaited: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    """Jobs known to run on slots that have not reported themselves yet, and until when that is believed."""
    delayed: list[tuple[float, int, int, Job]] = field(default_factory=list[tuple[float, int, int, Job]])
    expiring: list[tuple[float, int, int, Job]] = field(default_factory=list[tuple[float, int, int, Job]])
    depths: list[int] = field(default_factory=lambda: [0, 0, 0])
    """How many jobs wait, by level."""
    installs: int = 0
    installs_avoided: int = 0

    def group(self, key: GroupKey) -> Group:
        """The group of that key, made when there is none."""
        group = self.groups.get(key)
        if group is None:
            labels = labels_of(key.capability)
            group = self.groups[key] = Group(key, labels, self.index, self.index.next_number())
        return group

    @property
    def weights(self) -> Mapping[str, float]:
        """The share of the starts of each organisation that has not the usual one, 1."""
        return self.rules.weights

    def expected_s(self, job: Job) -> float:
        """How long a job's test is expected to run."""
        return self.estimates.group(job.group) if job.expected_s is None else job.expected_s


# ---- events -----------------------------------------------------------------


class JobArrived(NamedTuple):
    """A job entered the backlog."""

    job: Job


class JobWasReleased(NamedTuple):
    """A job was found released by an earlier reign; `slot` runs it, if that is known."""

    job: Job
    slot: str | None


class JobWithdrawn(NamedTuple):
    """A job left the backlog without a release: cancelled, or refused with its run."""

    job_id: str


class JobReprioritised(NamedTuple):
    """A waiting job has another priority."""

    job_id: str
    priority: int


class RulesChanged(NamedTuple):
    """Operators set pauses, limits or weights."""

    rules: Rules


class SlotWithheld(NamedTuple):
    """Nothing is given to a slot from now on; None: that is over."""

    name: str
    why: Withheld | None


class SlotProbed(NamedTuple):
    """A slot gets one job at a time from now on, or as many as others."""

    name: str
    on: bool


class BuildWithheld(NamedTuple):
    """Nothing of a build starts from now on; None: that is over."""

    build: Build
    why: Withheld | None


class GroupsLimited(NamedTuple):
    """Jobs of so many groups may be out at once, as the server serves no more; None: of any number."""

    most: int | None
    refused: frozenset[GroupKey] = frozenset()


class GroupsLetGo(NamedTuple):
    """No slot is bound to these groups any more, of which no job is out."""

    groups: tuple[GroupKey, ...]


class SlotSeen(NamedTuple):
    """A slot reported itself, with what it really is."""

    name: str
    labels: frozenset[str]
    available: bool
    installed: frozenset[Build]
    bound: GroupKey | None
    job_id: str | None
    instance: str = "-"
    """Of its agent: another one of the same name holds nothing of what this one held."""
    attempt: int | None = None
    """Of the job that it runs; None: any."""
    note: str | None = None
    """Why it is not available."""


class SlotLost(NamedTuple):
    """A slot is gone: its agent stopped or is not heard of."""

    name: str


class JobStarted(NamedTuple):
    """A slot holds a job."""

    job_id: str
    attempt: int
    slot: str


class JobEnded(NamedTuple):
    """An attempt has its result. Durations in seconds; None when that step was not made."""

    job_id: str
    attempt: int
    slot: str | None
    ran_s: float | None
    install_s: float | None
    installed: bool
    good: bool
    """Whether the duration says something about the test (it ran to its end)."""
    files: tuple[tuple[str, float], ...] = ()
    """Of a shard, how long each of its files took."""


def forgotten(job_id: str, attempt: int) -> JobEnded:
    """An attempt is over, and nothing is known of how."""
    return JobEnded(job_id, attempt, None, None, None, installed=False, good=False)


class Tick(NamedTuple):
    """Time passed."""


Event = (
    JobArrived
    | JobWasReleased
    | JobWithdrawn
    | JobReprioritised
    | RulesChanged
    | SlotSeen
    | SlotLost
    | SlotWithheld
    | SlotProbed
    | BuildWithheld
    | GroupsLimited
    | GroupsLetGo
    | JobStarted
    | JobEnded
    | Tick
)

# ---- effects ----------------------------------------------------------------


class Bind(NamedTuple):
    """Let a slot pull from a group."""

    slot: str
    group: GroupKey


class Release(NamedTuple):
    """Put a job into the work stream, meant for a slot, and say why."""

    job: Job
    slot: str
    because: str


class Expire(NamedTuple):
    """A job waited too long: end it."""

    job: Job


Effect = Bind | Release | Expire
