"""Black holes and bad builds: whose fault infrastructure errors are, and what to keep from work. Pure.

A slot on which one job after the other meets an infrastructure error is put into quarantine; when its
time is over it gets one job as a probe, and another error means a longer quarantine. A build that meets
such errors on slot after slot, and never ran anywhere, is at fault itself: its slots are let go, and the
build is held instead. What a machine lacks for a job is no fault of the build's; where one slot after the
other lacks it, it is none of theirs either. Never is more than a share of the lab in quarantine. Times:
seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from qgjob.domain.missing_resources import MissingResources

Build = tuple[str, str]
"""(organisation, app_version_id)."""

ERRORS_TO_QUARANTINE: Final = 3
"""Jobs in a row, each another one, that a slot fails before it is put into quarantine."""
SLOTS_TO_HOLD_BUILD: Final = 3
"""Slots on which a build has to fail before it is held; 2 where no more could run it."""
JOBS_TO_HOLD_BUILD: Final = 2
"""Jobs of it that have to: one alone may be at fault itself."""
MACHINE_REASONS: Final = frozenset(
    {
        "tool_missing",
        "runner_missing",
        "adb_missing",
        "xcrun_missing",
        "secret_missing",
        "no_device",
        "disk_full",
        "disk_error",
    }
)
"""Reasons of errors that say what a machine or slot lacks: no build would have fared better there."""
MAX_QUARANTINED_SHARE: Final = 0.5
"""Of the lab's slots, at most so many are in quarantine."""
FIRST_S: Final = 60.0
"""How long the first quarantine lasts; each further one twice as long."""
LONGEST_S: Final = 3600.0
FORGET_AFTER_S: Final = 24 * 3600.0
"""How long after its last quarantine a slot that is gone is remembered: its agent may be off for a night."""
MAX_RECORDS: Final = 2000
_MAX_JOBS: Final = ERRORS_TO_QUARANTINE + 2
_MAX_SLOTS: Final = 16
_MAX_GOOD: Final = 500


@dataclass(slots=True)
class SlotRecord:
    """A slot's errors since it last ran a test."""

    jobs: dict[str, Build] = field(default_factory=dict[str, Build])
    times: int = 0
    """Quarantines in a row."""
    since: float | None = None
    until: float | None = None
    """The end of its quarantine; None when it is in none."""
    why: str = ""

    @property
    def on_probation(self) -> bool:
        """Whether its quarantine is over and no job since has shown that it works."""
        return self.times > 0 and self.until is None


@dataclass(slots=True)
class BuildRecord:
    """The slots on which a build failed while it ran nowhere."""

    slots: dict[str, str] = field(default_factory=dict[str, str])
    """Each with the job that failed there last."""
    times: int = 0
    since: float | None = None
    until: float | None = None
    why: str = ""


@dataclass(slots=True)
class Health:
    """The records of failing slots and builds; whatever has none is well."""

    slots: dict[str, SlotRecord] = field(default_factory=dict[str, SlotRecord])
    builds: dict[Build, BuildRecord] = field(default_factory=dict[Build, BuildRecord])
    good: dict[Build, None] = field(default_factory=dict[Build, None])
    """Builds of which a test ran, latest last."""
    missing: MissingResources = field(default_factory=MissingResources, compare=False)
    """Learned anew by each leader."""


class Quarantined(NamedTuple):
    """A slot is quarantined until a time."""

    slot: str
    why: str
    until: float


class Probing(NamedTuple):
    """A slot's quarantine is over: it gets one job at a time until one shows that it works."""

    slot: str


class Freed(NamedTuple):
    """A slot's record is cleared."""

    slot: str


class BuildHeld(NamedTuple):
    """A build is held until a time."""

    build: Build
    why: str
    until: float


class BuildFreed(NamedTuple):
    """A build is not held any more."""

    build: Build


Change = Quarantined | Probing | Freed | BuildHeld | BuildFreed


class Failure(NamedTuple):
    """A job met an infrastructure error that another slot might not meet."""

    job_id: str
    build: Build
    slot: str
    reason: str
    """A sentence for people, or the word for machines where there is none."""
    lab: int
    """How many slots there are."""
    able: int
    """How many of them could run the job."""
    run_id: str = ""
    machine_at_fault: bool = False
    """Whether it is plainly the machine's or slot's, see `MACHINE_REASONS`."""


def on_ran(health: Health, run_id: str, build: Build, slot: str) -> list[Change]:
    """Record that a test ran to its end: slot and build work."""
    changes: list[Change] = []
    record = health.slots.pop(slot, None)
    if record is not None and record.times:
        changes.append(Freed(slot))
    known = health.builds.pop(build, None)
    if known is not None and known.until is not None:
        changes.append(BuildFreed(build))
    health.missing.on_ran(run_id)
    health.good.pop(build, None)
    health.good[build] = None
    if len(health.good) > _MAX_GOOD:
        del health.good[next(iter(health.good))]
    return changes


def on_failed(health: Health, failure: Failure, now: float) -> list[Change]:
    """Record an infrastructure error of a job on a slot."""
    if failure.machine_at_fault:
        health.missing.on_missing(
            failure.run_id, failure.job_id, failure.slot, _slots_to_blame_build(failure)
        )
        if health.missing.is_missing_everywhere(failure.run_id):
            forgiven = health.missing.forgiven_jobs()
            return _free_slots(health, lambda job_id, _: job_id in forgiven)
        return _blame_slot(health, failure, now)
    changes = _blame_build(health, failure, now)
    blamed = health.builds.get(failure.build)
    if blamed is not None and blamed.until is not None:
        return changes  # the build is at fault, not the slot
    return [*changes, *_blame_slot(health, failure, now)]


def tick(health: Health, now: float) -> list[Change]:
    """End the quarantines and holds whose time is over."""
    changes: list[Change] = []
    for slot, record in health.slots.items():
        if record.until is not None and record.until <= now:
            record.until = None
            changes.append(Probing(slot))
    for build, held in health.builds.items():
        if held.until is not None and held.until <= now:
            held.until = None
            held.slots.clear()
            changes.append(BuildFreed(build))
    return changes


def forget_gone(health: Health, there: Container[str], now: float) -> list[Change]:
    """Drop the records of slots that have been gone for long."""
    gone = [
        slot
        for slot, record in health.slots.items()
        if record.on_probation
        and slot not in there
        and (record.since or 0.0) + quarantine_s(record.times) + FORGET_AFTER_S < now
    ]
    for slot in gone:
        del health.slots[slot]
    return [Freed(slot) for slot in gone]


def next_change(health: Health) -> float | None:
    """When `tick` has something to do next."""
    ends = [r.until for r in health.slots.values() if r.until is not None]
    ends += [r.until for r in health.builds.values() if r.until is not None]
    return min(ends, default=None)


def pardon_slot(health: Health, slot: str) -> bool:
    """Clear a slot's record, as an operator vouches for it; False when there was none."""
    record = health.slots.pop(slot, None)
    return record is not None and record.times > 0


def pardon_build(health: Health, build: Build) -> bool:
    """Clear a build's record, as an operator vouches for it; False when it was not held."""
    record = health.builds.pop(build, None)
    return record is not None and record.until is not None


def quarantine_s(times: int) -> float:
    """How long the n-th quarantine or hold in a row lasts."""
    return min(LONGEST_S, FIRST_S * 2.0 ** (min(times, 20) - 1))


def changes_to_restore(health: Health) -> list[Change]:
    """The changes that put all records into force in a lab without any, as after a change of leaders."""
    changes: list[Change] = []
    for slot, record in health.slots.items():
        if record.until is not None:
            changes.append(Quarantined(slot, record.why, record.until))
        elif record.on_probation:
            changes.append(Probing(slot))
    for build, held in health.builds.items():
        if held.until is not None:
            changes.append(BuildHeld(build, held.why, held.until))
    return changes


def _blame_build(health: Health, failure: Failure, now: float) -> list[Change]:
    build = failure.build
    if build in health.good:
        return []
    record = health.builds.setdefault(build, BuildRecord())
    if len(health.builds) > MAX_RECORDS:
        old = next((b for b, r in health.builds.items() if r.until is None and b != build), None)
        health.builds.pop(old or ("", ""), None)
    record.slots[failure.slot] = failure.job_id
    while len(record.slots) > _MAX_SLOTS:
        del record.slots[next(iter(record.slots))]
    needed = 1 if record.times else _slots_to_blame_build(failure)
    alone = not record.times and len(set(record.slots.values())) < JOBS_TO_HOLD_BUILD
    if record.until is not None or len(record.slots) < needed or alone:
        return []
    record.times += 1
    record.since, record.until = now, now + quarantine_s(record.times)
    where = f"on {len(record.slots)} slots" if len(record.slots) > 1 else "again"
    record.why = f"build {build[1]} failed {where} and ran nowhere (last: {failure.reason})"
    return [BuildHeld(build, record.why, record.until), *_free_slots(health, lambda _, of: of == build)]


def _slots_to_blame_build(failure: Failure) -> int:
    """On how many slots errors have to occur before the build, or the run, is at fault and not the slots."""
    return SLOTS_TO_HOLD_BUILD if failure.able >= SLOTS_TO_HOLD_BUILD else 2


def _free_slots(health: Health, forgiven: Callable[[str, Build], bool]) -> list[Change]:
    """Clear the records of slots whose errors, by job and build, are all forgiven."""
    changes: list[Change] = []
    for slot in list(health.slots):
        suspect = health.slots[slot]
        if all(forgiven(job_id, build) for job_id, build in suspect.jobs.items()):
            del health.slots[slot]
            if suspect.times:
                changes.append(Freed(slot))
    return changes


def _blame_slot(health: Health, failure: Failure, now: float) -> list[Change]:
    record = health.slots.setdefault(failure.slot, SlotRecord())
    changes: list[Change] = []
    if len(health.slots) > MAX_RECORDS:  # most are of slots that are gone
        idle = [n for n, r in health.slots.items() if r.until is None and n != failure.slot]
        if idle:
            forgotten = min(idle, key=lambda name: health.slots[name].times)
            if health.slots.pop(forgotten).times:
                changes.append(Freed(forgotten))
    record.jobs.pop(failure.job_id, None)
    record.jobs[failure.job_id] = failure.build
    while len(record.jobs) > _MAX_JOBS:
        del record.jobs[next(iter(record.jobs))]
    if record.until is None and (record.on_probation or len(record.jobs) >= ERRORS_TO_QUARANTINE):
        changes += _quarantine(health, failure, record, now)
    return changes


def _quarantine(health: Health, failure: Failure, record: SlotRecord, now: float) -> list[Change]:
    others = sum(1 for other in health.slots.values() if other.until is not None)
    if others + 1 > failure.lab * MAX_QUARANTINED_SHARE:
        return []
    count = len(record.jobs)
    record.times += 1
    record.since, record.until = now, now + quarantine_s(record.times)
    what = f"{count} jobs in a row met" if count > 1 else "a job met"
    record.why = f"{what} infrastructure errors here (last: {failure.reason})"
    return [Quarantined(failure.slot, record.why, record.until)]
