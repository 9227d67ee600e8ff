"""What explain says is so: where it names one thing that keeps a job, taking that away releases the job."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus_schemas.explain import ExplainAnswer, SlotsWhy
from qgjob.domain.placement.core import decide
from qgjob.domain.placement.events import (
    BuildWithheld,
    Event,
    JobArrived,
    JobEnded,
    JobStarted,
    Release,
    RulesChanged,
    SlotSeen,
    SlotWithheld,
    Tick,
)
from qgjob.domain.placement.explain import explain
from qgjob.domain.placement.model import LabState, Withheld
from qgjob.domain.placement.rules import Pause, Rules
from qgjob.domain.placement.slot_reasons import MAX_NAMES, MAX_REASONS
from tests.support.examples import examples
from tests.support.placement import job

NOW = 1000.0
LATER = 2000.0
NEEDS = ("android-14", "emulator")
PAUSED = Withheld("paused", "paused by ann: a new cable")
HELD = Withheld("build_held", "build v1 failed on 3 slots and ran nowhere", LATER)


class SlotCase(NamedTuple):
    """What is the matter with a slot."""

    labels: frozenset[str] = frozenset(NEEDS)
    withheld: bool = False
    out_of_order: bool = False
    busy: bool = False


class Case(NamedTuple):
    """What is the matter with a lab and a job."""

    slots: tuple[SlotCase, ...] = (SlotCase(),)
    paused: bool = False
    build_held: bool = False
    org_limit: bool = False
    run_limit: bool = False
    delayed: bool = False
    avoids: bool = False


def feed(state: LabState, event: Event, now: float = NOW) -> set[str]:
    """Take an event in; which jobs are released then."""
    _, effects = decide(state, event, now)
    return {effect.job.job_id for effect in effects if isinstance(effect, Release)}


def seen(number: int, slot: SlotCase, *, available: bool, busy_with: str | None = None) -> SlotSeen:
    return SlotSeen(
        f"a/s{number}",
        slot.labels,
        available,
        frozenset(),
        None,
        busy_with,
        note=None if available else "its battery is low",
    )


def lab(case: Case) -> LabState:
    state = LabState()
    for number, slot in enumerate(case.slots):
        feed(state, seen(number, slot, available=True))
        if slot.busy:
            serial = f"only-{number}"
            feed(state, seen(number, replace_labels(slot, serial), available=True))
            feed(state, JobArrived(job(100 + number, org="busy", app=f"b{number}", labels=(serial,))))
            feed(state, JobStarted(f"j{100 + number}", 1, f"a/s{number}"))
            feed(state, seen(number, slot, available=True, busy_with=f"j{100 + number}"))
    others = 0
    for limited, number, run_id in ((case.org_limit, 200, "other"), (case.run_limit, 201, "run")):
        if limited:  # one of the organisation's, or of the run's, runs on a slot of its own
            name = f"own/{number}"
            feed(state, SlotSeen(name, frozenset({name}), True, frozenset(), None, None))
            out = replace(job(number, labels=(name,)), run_id=run_id, max_parallel=1)
            assert feed(state, JobArrived(out)) == {f"j{number}"}
            feed(state, JobStarted(f"j{number}", 1, name))
            others += 1
    pauses = (Pause("o"),) if case.paused else ()
    feed(state, RulesChanged(Rules(pauses=pauses, limits={"o": others} if case.org_limit else {})))
    if case.build_held:
        feed(state, BuildWithheld(("o", "v1"), HELD))
    for number, slot in enumerate(case.slots):
        if slot.withheld:
            feed(state, SlotWithheld(f"a/s{number}", PAUSED))
        if slot.out_of_order:
            running = f"j{100 + number}" if slot.busy else None
            feed(state, seen(number, slot, available=False, busy_with=running))
    target = replace(
        job(1, labels=NEEDS, at=NOW, avoid=("a/s0",) if case.avoids else ()),
        run_id="run",
        max_parallel=1 if case.run_limit else None,
        not_before=LATER if case.delayed else None,
    )
    feed(state, JobArrived(target))
    return state


def replace_labels(slot: SlotCase, label: str) -> SlotCase:
    return SlotCase(slot.labels | {label})


def blockers(answer: ExplainAnswer) -> set[str]:
    """All that keeps the job, by what explain says."""
    willing = any(row.kind in {"free", "other_work", "kept_free"} for row in answer.slots)
    return {gate.kind for gate in answer.gates} | (set() if willing else {"slots"})


slots = st.builds(
    SlotCase,
    st.sampled_from([frozenset(NEEDS), frozenset(NEEDS), frozenset({"emulator"}), frozenset({"x"})]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
flag = st.sampled_from([False, False, True])
cases = st.builds(Case, st.lists(slots, max_size=4).map(tuple), flag, flag, flag, flag, flag, st.booleans())


@settings(max_examples=examples(200))
@given(cases)
def test_what_is_taken_away_by_its_words_releases_the_job(case: Case) -> None:
    state = lab(case)
    answer = explain(state, "j1", NOW)
    assert answer is not None
    if "j1" in state.in_flight:
        assert not answer.gates
        assert [row.kind for row in answer.slots] == ["chosen"]
        return
    named = blockers(answer)
    assert named, "it waits, and nothing keeps it"
    assert answer.slots_total == len(state.slots) == sum(row.count for row in answer.slots)
    if len(named) > 1:
        return
    (only,) = named
    match only:
        case "slots":
            for row in answer.slots:
                for slot in row.slots:
                    released = relieved(lab(case), case, row, slot)
                    assert released is None or "j1" in released, f"{row} was not all"
        case "paused":
            limits = state.rules.limits
            assert "j1" in feed(state, RulesChanged(Rules(limits=limits)))
        case "org_limit":
            assert "j1" in feed(state, RulesChanged(Rules(limits={"o": 9})))
        case "run_limit":
            ended = JobEnded("j201", 1, "own/201", 1.0, None, installed=False, good=True)
            assert "j1" in feed(state, ended)
        case "build_held":
            assert "j1" in feed(state, BuildWithheld(("o", "v1"), None))
        case _:
            assert only == "not_before"
            assert "j1" in feed(state, Tick(), LATER)


def relieved(state: LabState, case: Case, row: SlotsWhy, name: str) -> set[str] | None:
    """What is released when a slot's reason is gone; None when it is not of the kind that goes."""
    number = int(name.removeprefix("a/s")) if name.startswith("a/s") else -1
    if number < 0:
        return None  # it is there for the limits
    if case.avoids and number == 0 and len(case.slots) > 1:
        return None  # another slot may be preferred to the one that an earlier attempt met trouble on
    slot = case.slots[number]
    match row.kind:
        case "held" if not slot.busy and not slot.out_of_order:
            return feed(state, SlotWithheld(name, None))
        case "out_of_order" if not slot.busy:
            return feed(state, seen(number, slot, available=True))
        case "busy":
            return feed(state, JobEnded(f"j{100 + number}", 1, name, 1.0, None, installed=False, good=True))
        case "labels" if not (slot.busy or slot.withheld or slot.out_of_order):
            assert set(row.missing) == set(NEEDS) - slot.labels
            fitting = SlotCase(slot.labels | set(row.missing))
            return feed(state, seen(number, fitting, available=True))
        case _:
            return None


def answer_of(case: Case) -> ExplainAnswer:
    answer = explain(lab(case), "j1", NOW)
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("case", "kind", "says", "fix"),
    [
        (Case(paused=True), "paused", "organisation o is paused", "qgjob queue resume --org-id o"),
        (Case(build_held=True), "build_held", "failed on 3 slots", "qgjob app resume v1 --org-id o"),
        (Case(org_limit=True), "org_limit", "may have 1 job running", "queue limit --org-id o --max-running"),
        (Case(run_limit=True), "run_limit", "its run may have 1 job", "--max-parallel"),
        (Case(delayed=True), "not_before", "its time has not come", None),
    ],
)
def test_gates_say_what_would_open_them(case: Case, kind: str, says: str, fix: str | None) -> None:
    answer = answer_of(case)
    assert [gate.kind for gate in answer.gates] == [kind]
    assert says in answer.summary
    assert fix is None or any(fix in change for change in answer.changes)
    assert [row.kind for row in answer.slots if row.slots == ("a/s0",)] == ["free"]


def test_a_job_that_no_slot_can_ever_run_names_the_missing_labels_and_the_nearest_slot() -> None:
    nowhere = answer_of(Case((SlotCase(frozenset({"emulator"})), SlotCase(frozenset({"x"})))))
    assert nowhere.summary == "No slot can ever run it: no slot has android-14."
    apart = answer_of(Case((SlotCase(frozenset({"emulator"})), SlotCase(frozenset({"android-14"})))))
    assert "the nearest, a/s0, lacks android-14" in apart.summary
    assert apart.starts_at is None
    assert apart.changes[0].startswith("Connect a slot with android-14, emulator")
    assert answer_of(Case(())).summary == "No slot can ever run it: no agent is connected."


def test_slots_that_are_held_name_who_and_how_to_let_them_go() -> None:
    answer = answer_of(Case((SlotCase(withheld=True),)))
    assert "paused by ann: a new cable" in answer.summary
    assert any("qgjob agents resume a/s0" in change for change in answer.changes)
    broken = answer_of(Case((SlotCase(out_of_order=True),)))
    assert "its battery is low" in broken.summary


def test_a_busy_lab_says_about_when() -> None:
    answer = answer_of(Case((SlotCase(busy=True),)))
    assert answer.summary == "It waits for its turn: 1 of 1 slots could run it, all are busy."
    assert answer.starts_at is not None
    assert answer.starts_at > NOW
    (row,) = answer.slots
    assert row.kind == "busy"
    assert row.free_at is not None
    assert answer.starts_at >= row.free_at, "the install comes on top"


def test_its_place_counts_those_that_go_first() -> None:
    state = LabState()
    for number, priority in enumerate([5, 9, 5, 5, 2]):
        feed(state, JobArrived(job(number, priority=priority, at=NOW + number)))
    last = explain(state, "j3", NOW + 60)
    assert last is not None
    assert (last.ahead, last.group_waiting, last.class_waiting, last.urgent_waiting) == (3, 5, 3, 1)
    assert last.waited_s == pytest.approx(57.0)


def test_a_job_at_the_gate_of_its_run_has_its_place_among_these() -> None:
    state = LabState()
    for number in range(2):
        feed(state, seen(number, SlotCase(), available=True))
    of_run = {"run_id": "run", "max_parallel": 1}
    for number in range(5):
        feed(state, JobArrived(replace(job(number, at=NOW + number), **of_run)))
    feed(state, JobArrived(replace(job(9, priority=9, at=NOW + 9), **of_run)))
    answer = explain(state, "j4", NOW + 60)
    assert answer is not None
    assert (answer.ahead, answer.group_waiting) == (4, 5)
    assert answer.starts_at is not None
    assert answer.starts_at > NOW + 60 + 4 * state.estimates.any_test.value
    assert not any("Add a slot" in change for change in answer.changes), "there is a free one"
    assert any("reprioritise" in change for change in answer.changes)


def test_a_job_whose_organisation_is_at_its_limit_is_told_about_when() -> None:
    state = lab(Case(org_limit=True))
    feed(state, JobArrived(job(50, labels=NEEDS, at=NOW)))
    answer = explain(state, "j50", NOW)
    assert answer is not None
    assert [gate.kind for gate in answer.gates] == ["org_limit"]
    assert answer.starts_at is not None
    assert answer.starts_at >= NOW + 2 * state.estimates.any_test.value, "one is out, and one goes first"


def test_whoever_paused_it_is_named_and_what_no_slot_can_ever_run_is_said_beside_a_gate() -> None:
    state = lab(Case((SlotCase(frozenset({"x"})),)))
    feed(state, RulesChanged(Rules((Pause(None, None, " by ann: new cables"),))))
    answer = explain(state, "j1", NOW)
    assert answer is not None
    assert "the whole queue is paused by ann: new cables" in answer.summary
    assert "no slot can ever run it" in answer.summary


def test_the_longest_notes_do_not_keep_it_from_an_answer() -> None:
    note = " by ann: " + 4000 * "x"
    state = lab(Case((SlotCase(withheld=True),) * 3))
    for number in range(3):
        feed(state, SlotWithheld(f"a/s{number}", Withheld("paused", f"{number}{note}")))
    for pauses in ((), (Pause("o", None, note), Pause(None, None, note))):
        feed(state, RulesChanged(Rules(pauses)))
        answer = explain(state, "j1", NOW)
        assert answer is not None
        assert answer.summary.startswith("It waits: ")
        assert any("qgjob agents resume a/s0" in change for change in answer.changes)


def test_nothing_is_advised_that_does_not_help_a_job_whose_time_has_not_come() -> None:
    assert answer_of(Case(delayed=True)).changes == ()


def test_fairness_is_named_with_the_organisation_that_goes_first() -> None:
    state = LabState()
    for number in range(2):
        feed(state, seen(number, SlotCase(), available=True))
    for number in range(30):
        feed(state, JobArrived(job(number, org="flood", app="f1", at=NOW + number)))
    feed(state, JobArrived(job(90, org="small", app="s1", at=NOW + 90)))
    answer = explain(state, "j29", NOW + 100)
    assert answer is not None
    assert "work of small goes first, as it has less than its share of the slots" in answer.summary
    assert "Give flood a larger share: qgjob queue limit --org-id flood --weight 2" in answer.changes
    favoured = explain(state, "j90", NOW + 100)
    assert favoured is not None
    assert "goes first" not in favoured.summary


def test_what_waits_past_the_horizon_is_told_what_it_is_sure_of() -> None:
    state = lab(Case((SlotCase(busy=True),)))
    aged = explain(state, "j1", NOW + 3601)
    assert aged is not None
    assert aged.summary.endswith(
        "It waits for more than 1h00m: one start in 10 goes to the oldest such job, "
        "put off by 30m00s at most while urgent or medium work waits."
    )


def test_nobody_knows_a_job_that_is_not_there() -> None:
    assert explain(LabState(), "j1", NOW) is None


def test_a_thousand_slots_make_a_short_answer() -> None:
    state = LabState()
    for number in range(1000):
        feed(state, SlotSeen(f"lab-{number}/s0", frozenset({f"l{number}"}), True, frozenset(), None, None))
    feed(state, JobArrived(job(1, labels=("android-14",))))
    answer = explain(state, "j1", NOW)
    assert answer is not None
    assert len(answer.slots) == 1
    assert (answer.slots[0].count, len(answer.slots[0].slots)) == (1000, MAX_NAMES)
    for number in range(1000):
        feed(state, SlotWithheld(f"lab-{number}/s0", Withheld("paused", f"paused: {number}")))
        feed(state, SlotSeen(f"lab-{number}/s0", frozenset({"android-14"}), True, frozenset(), None, None))
    answer = explain(state, "j1", NOW)
    assert answer is not None
    assert len(answer.slots) == MAX_REASONS + 1
    assert sum(row.count for row in answer.slots) == 1000
    assert len(answer.encode()) < 20_000
