"""Whose fault are infrastructure errors? Over random histories never too much of the lab is shut out."""

from __future__ import annotations

from typing import Literal, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from bus_schemas.lab import LabHealth
from qgjob.domain import health
from qgjob.domain.health import (
    ERRORS_TO_QUARANTINE,
    FIRST_S,
    FORGET_AFTER_S,
    LONGEST_S,
    MAX_QUARANTINED_SHARE,
    MAX_RECORDS,
    SLOTS_TO_HOLD_BUILD,
    BuildFreed,
    BuildHeld,
    Change,
    Failure,
    Freed,
    Health,
    Probing,
    Quarantined,
)
from qgjob.domain.health_stored import from_message, to_message
from qgjob.domain.missing_resources import MAX_JOBS, MAX_RUNS
from tests.support.examples import examples

GOOD, BAD = ("o", "v1"), ("o", "v9")


def fail(
    state: Health, job: str, slot: str, *, build: tuple[str, str] = GOOD, now: float = 0.0, lab: int = 8
) -> list[Change]:
    return health.on_failed(state, Failure(job, build, slot, "device_lost", lab, lab), now)


def quarantine(state: Health, slot: str, now: float = 0.0) -> Quarantined:
    changes: list[Change] = []
    for number in range(ERRORS_TO_QUARANTINE):
        changes = fail(state, f"{slot}-{number}", slot, now=now)
    assert isinstance(changes[0], Quarantined)
    return changes[0]


def lacks(
    state: Health, job: str, slot: str, *, run: str = "r", build: tuple[str, str] = GOOD, able: int = 8
) -> list[Change]:
    failure = Failure(job, build, slot, "this machine has no Maestro", 8, able, run, machine_at_fault=True)
    return health.on_failed(state, failure, 0.0)


def test_one_job_alone_holds_no_build_however_many_slots_fail_it() -> None:
    state = Health()
    assert [fail(state, "poison", f"a/s{n}", build=BAD) for n in range(4)] == [[]] * 4
    state = from_message(LabHealth.decode(to_message(state).encode()))
    assert [type(change) for change in fail(state, "other", "a/s0", build=BAD)] == [BuildHeld]


def test_what_machines_lack_holds_no_build_and_where_none_has_it_no_slot() -> None:
    state = Health()
    found = [lacks(state, f"j{n}", f"a/s{n % 4}", build=BAD) for n in range(40)]
    assert found == [[]] * 40
    assert (state.slots, state.builds) == ({}, {})
    # It does not speak for the build either: three slots on which it breaks hold it as ever.
    broken = [c for n in range(3) for c in fail(state, f"k{n}", f"a/s{n}", build=BAD)]
    assert [type(change) for change in broken] == [BuildHeld]


def test_what_no_slot_has_is_held_against_none_though_other_runs_of_the_build_went_well() -> None:
    state = Health()
    found: list[Change] = []
    for n in range(40):
        health.on_ran(state, "another run", GOOD, "b/s0")
        found += lacks(state, f"j{n}", f"a/s{n % 4}")
    assert not found


def test_a_slot_that_lacks_what_others_may_have_is_put_into_quarantine() -> None:
    state = Health()
    changes = [c for n in range(ERRORS_TO_QUARANTINE) for c in lacks(state, f"j{n}", "a/s0")]
    assert [type(change) for change in changes] == [Quarantined]
    assert isinstance(changes[0], Quarantined)
    assert "no Maestro" in changes[0].why
    # It is let go again when the others turn out to lack it too, and blamed once one does not.
    others = [c for n in range(SLOTS_TO_HOLD_BUILD) for c in lacks(state, f"k{n}", f"a/s{n}")]
    assert others == [Freed("a/s0")]
    health.on_ran(state, "r", GOOD, "b/s9")
    again = [c for n in range(ERRORS_TO_QUARANTINE) for c in lacks(state, f"l{n}", "a/s0")]
    assert [type(change) for change in again] == [Quarantined]


def test_a_slot_is_let_go_when_nobody_has_what_several_runs_took() -> None:
    state = Health()
    runs = [f"r{n}" for n in range(ERRORS_TO_QUARANTINE)]
    changes = [c for run in runs for c in lacks(state, f"of {run}", "a/s0", run=run)]
    assert [type(change) for change in changes] == [Quarantined]
    tries = [lacks(state, f"of {run}", f"a/s{n}", run=run) for run in runs for n in (1, 2)]
    assert tries == [[]] * (len(tries) - 1) + [[Freed("a/s0")]]


def test_a_run_that_few_slots_could_take_lets_no_slot_go_that_failed_another() -> None:
    state = Health()
    wide = [c for n in range(ERRORS_TO_QUARANTINE) for c in lacks(state, f"w{n}", "a/s0")]
    assert [type(change) for change in wide] == [Quarantined]
    assert not lacks(state, "w", "a/s1")
    for n in range(2):  # two slots are all that could: none of them is at fault
        assert not lacks(state, f"n{n}", f"b/s{n}", run="narrow", able=2)
    assert "a/s0" in state.slots
    # Nor does a slot that went away in between lessen what a run needs.
    assert not lacks(state, "w", "a/s1", able=2)
    assert "a/s0" in state.slots


def test_a_run_that_goes_on_is_not_forgotten_for_newer_ones() -> None:
    state = Health()
    health.on_ran(state, "long", GOOD, "b/s9")
    for n in range(MAX_RUNS + 100):
        health.on_ran(state, f"r{n}", GOOD, "b/s9")
        if n % (MAX_RUNS // 2) == 0:
            lacks(state, f"i{n}", "a/s0", run="long")
    assert state.missing.runs["long"].has_run
    # Somebody has what it takes, so a slot that has not is at fault.
    changes = [
        c for n in range(9) for c in lacks(state, f"j{n}", f"a/s{n % SLOTS_TO_HOLD_BUILD}", run="long")
    ]
    assert {type(change) for change in changes} == {Quarantined}


def test_what_is_remembered_of_runs_has_a_bound() -> None:
    state = Health()
    for n in range(max(MAX_RUNS, MAX_JOBS) + 100):
        lacks(state, f"j{n}", f"a/s{n}", run=f"r{n}")
    assert len(state.missing.runs) == MAX_RUNS
    assert len(state.missing.jobs) == MAX_JOBS


def works(state: Health) -> None:
    health.on_ran(state, "ran", GOOD, "elsewhere")


def test_so_many_jobs_in_a_row_and_a_slot_is_in_quarantine_and_says_why() -> None:
    state = Health()
    works(state)
    assert [fail(state, f"j{n}", "a/s0") for n in range(ERRORS_TO_QUARANTINE - 1)] == [[]] * (
        ERRORS_TO_QUARANTINE - 1
    )
    (found,) = fail(state, "another", "a/s0", now=7.0)
    assert isinstance(found, Quarantined)
    assert (found.slot, found.until) == ("a/s0", 7.0 + FIRST_S)
    assert "3 jobs in a row" in found.why
    assert "device_lost" in found.why


def test_one_job_again_and_again_says_nothing_of_the_slot() -> None:
    state = Health()
    works(state)
    for _ in range(20):
        assert not fail(state, "the same", "a/s0")


def test_a_test_that_ran_in_between_clears_the_slot() -> None:
    state = Health()
    works(state)
    for n in range(ERRORS_TO_QUARANTINE - 1):
        fail(state, f"j{n}", "a/s0")
    assert not health.on_ran(state, "ran", GOOD, "a/s0")
    for n in range(ERRORS_TO_QUARANTINE - 1):
        assert not fail(state, f"k{n}", "a/s0")


def test_after_its_time_a_slot_is_probed_and_a_failed_probe_means_a_longer_quarantine() -> None:
    state = Health()
    works(state)
    now, before = 0.0, 0.0
    found = quarantine(state, "a/s0")
    for _ in range(12):
        assert not health.tick(state, found.until - 0.1)
        assert health.tick(state, found.until) == [Probing("a/s0")]
        lasts = found.until - now
        assert lasts >= min(LONGEST_S, 2 * before)
        now, before = found.until, lasts
        (change,) = fail(state, "any job", "a/s0", now=now)
        assert isinstance(change, Quarantined)
        found = change
    assert found.until - now == LONGEST_S
    health.tick(state, found.until)
    assert health.on_ran(state, "ran", GOOD, "a/s0") == [Freed("a/s0")]
    assert not state.slots


def test_a_build_that_fails_everywhere_is_held_and_its_slots_are_let_go() -> None:
    state = Health()
    first = [fail(state, f"a{n}", "a/s0", build=BAD) for n in range(ERRORS_TO_QUARANTINE)]
    assert isinstance(first[-1][0], Quarantined), "so far it may as well be the slot"
    fail(state, "b", "b/s0", build=BAD)
    held, freed = fail(state, "c", "c/s0", build=BAD, now=5.0)
    assert isinstance(held, BuildHeld)
    assert (held.build, held.until, freed) == (BAD, 5.0 + FIRST_S, Freed("a/s0"))
    assert "failed on 3 slots" in held.why
    assert not state.slots
    for n in range(10):
        assert not fail(state, f"late{n}", "d/s0", build=BAD, now=6.0), "blamed for a held build"


def test_a_build_that_ran_somewhere_is_never_held() -> None:
    state = Health()
    health.on_ran(state, "ran", BAD, "z/s0")
    for n in range(50):
        for change in fail(state, f"j{n}", f"s/{n}", build=BAD, lab=50):
            assert not isinstance(change, BuildHeld)


def test_a_held_build_is_tried_again_and_held_longer_at_the_first_error() -> None:
    state = Health()
    for n in range(SLOTS_TO_HOLD_BUILD):
        fail(state, f"j{n}", f"s/{n}", build=BAD)
    assert health.tick(state, FIRST_S) == [BuildFreed(BAD)]
    (change,) = fail(state, "again", "s/9", build=BAD, now=FIRST_S)
    assert isinstance(change, BuildHeld)
    assert (change.build, change.until) == (BAD, 3 * FIRST_S)
    assert health.on_ran(state, "ran", BAD, "s/1") == [BuildFreed(BAD)]
    assert BAD not in state.builds


def test_where_only_two_slots_could_run_it_two_are_enough() -> None:
    state = Health()
    changes: list[Change] = []
    for n in range(2):
        changes = health.on_failed(state, Failure(f"j{n}", BAD, f"s/{n}", "x", lab=9, able=2), 0.0)
    assert isinstance(changes[0], BuildHeld)


def test_an_operator_may_pardon_slot_and_build() -> None:
    state = Health()
    works(state)
    quarantine(state, "a/s0")
    assert health.pardon_slot(state, "a/s0")
    assert not health.pardon_slot(state, "a/s0")
    for n in range(SLOTS_TO_HOLD_BUILD):
        fail(state, f"j{n}", f"s/{n}", build=BAD)
    assert health.pardon_build(state, BAD)
    assert not health.pardon_build(state, BAD)


Kind = Literal["fail", "run", "tick", "restart"]


class Step(NamedTuple):
    kind: Kind
    job: int
    slot: int
    build: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["fail", "fail", "fail", "run", "tick", "restart"]),
        st.integers(0, 30),
        st.integers(0, 9),
        st.integers(0, 3),
    ),
    max_size=200,
)


@settings(max_examples=examples(200))
@given(steps, st.integers(1, 10))
def test_never_more_than_a_share_is_in_quarantine_and_changes_say_what_is_so(
    history: list[Step], lab: int
) -> None:
    state, now = Health(), 0.0
    shut: set[str] = set()
    held: set[tuple[str, str]] = set()
    for step in history:
        now += 10.0
        slot, build = f"s/{step.slot % lab}", ("o", f"v{step.build}")
        match step.kind:
            case "fail":
                changes = health.on_failed(state, Failure(f"j{step.job}", build, slot, "x", lab, lab), now)
            case "run":
                changes = health.on_ran(state, "ran", build, slot)
            case "tick":
                changes = health.tick(state, now)
            case "restart":
                message = LabHealth.decode(to_message(state).encode())
                assert from_message(message) == state
                changes = []
        for change in changes:
            match change:
                case Quarantined(name, why, until):
                    assert why
                    assert until > now
                    shut.add(name)
                case Probing(name) | Freed(name):
                    shut.discard(name)
                case BuildHeld(which, why, until):
                    assert why
                    assert until > now
                    held.add(which)
                case BuildFreed(which):
                    held.discard(which)
        assert len(shut) <= lab * MAX_QUARANTINED_SHARE
        assert shut == {name for name, record in state.slots.items() if record.until is not None}
        assert held == {which for which, record in state.builds.items() if record.until is not None}
        due = health.next_change(state)
        assert (due is None) == (not shut and not held)
    for change in health.changes_to_restore(state):
        match change:
            case Quarantined(name, _, _):
                shut.remove(name)
            case BuildHeld(which, _, _):
                held.remove(which)
            case _:
                pass
    assert not shut
    assert not held


def test_what_is_held_against_a_slot_that_is_gone_is_forgotten_after_a_day() -> None:
    state = Health()
    works(state)
    ended = quarantine(state, "gone/s0").until
    quarantine(state, "here/s0")
    fail(state, "j", "young/s0")
    there = {"here/s0"}
    late = ended + FORGET_AFTER_S + 1
    assert health.forget_gone(state, there, late) == [], "its quarantine goes on"
    health.tick(state, ended)
    assert health.forget_gone(state, there, late - 2) == []
    assert health.forget_gone(state, there, late) == [Freed("gone/s0")]
    assert set(state.slots) == {"here/s0", "young/s0"}


def test_however_many_slots_come_fail_and_go_their_records_are_bounded() -> None:
    state = Health()
    works(state)
    now = 0.0
    for number in range(MAX_RECORDS + 20):
        now = quarantine(state, f"pod-{number}/s0", now).until
        health.tick(state, now)
    assert len(state.slots) <= MAX_RECORDS
    assert f"pod-{MAX_RECORDS + 19}/s0" in state.slots
