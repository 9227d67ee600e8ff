"""Limits and pauses over random histories: never exceeded, nobody lost, all admitted in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qgjob.domain.placement.events import (
    JobArrived,
    JobReprioritised,
    JobWasReleased,
    JobWithdrawn,
    Release,
    RulesChanged,
    Tick,
)
from qgjob.domain.placement.explain import gates_of
from qgjob.domain.placement.model import GroupKey, Job, LabState
from qgjob.domain.placement.rules import Pause, Rules
from tests.support.examples import examples
from tests.support.placement import World, assert_consistent, long_lists

ORGS = ("o", "p")
RUNS = (("r1", 1), ("r2", 2), ("r3", 5), ("", None))
CAPABILITIES = ("any", "emulator", "android-14+emulator")


def job(
    number: int,
    *,
    run: str = "",
    limit: int | None = None,
    org: str = "o",
    capability: str = "any",
    app: str = "v1",
    priority: int = 5,
    **more: Any,
) -> Job:
    key = GroupKey(capability, org, app)
    return Job(
        f"j{number}", key, "t", priority, float(number), number, run_id=run, max_parallel=limit, **more
    )


class Lab(World):
    """Checks after each step that limits hold, and that what may start is what stands in its group."""

    def feed(self, event: Any) -> None:
        before = len(self.log)
        super().feed(event)
        for effect in self.log[before:]:
            if isinstance(effect, Release):
                assert not any(p.covers(effect.job.group) for p in self.state.rules.pauses), "started, paused"
        assert_gates_hold(self.state)

    def in_flight(self) -> Counter[str]:
        return Counter(r.job.run_id for r in self.state.in_flight.values())


def assert_gates_hold(state: LabState) -> None:
    in_flight = Counter(r.job.run_id for r in state.in_flight.values())
    assert state.org_in_flight == Counter(r.job.group.org_id for r in state.in_flight.values())
    waiting_by_run: dict[tuple[str, GroupKey], list[Job]] = {}
    for one in state.jobs.values():
        if one.max_parallel is None:
            assert not one.parked
        elif not one.delayed:
            waiting_by_run.setdefault((one.run_id, one.group), []).append(one)
    for (run, _), jobs in waiting_by_run.items():
        limit = jobs[0].max_parallel
        assert limit is not None
        free = max(0, limit - in_flight[run])
        ordered = sorted(jobs, key=lambda j: (-j.priority, j.arrived_at, j.order))
        assert [j for j in ordered if not j.parked] == ordered[:free], "not the best of the run may start"
    with_limit = {run for run, limit in RUNS if limit is not None}
    live = {run for run in in_flight if run in with_limit} | {run for run, _ in waiting_by_run}
    assert len(state.run_gates) == len(live), "a gate without work is left"


pauses = st.builds(
    Pause, st.none() | st.sampled_from(ORGS), st.none() | st.sampled_from([*CAPABILITIES, "android-14"])
)
rules = st.builds(
    Rules,
    st.lists(pauses, max_size=2, unique=True).map(tuple),
    st.dictionaries(st.sampled_from(ORGS), st.integers(1, 4)),
)
new = st.tuples(
    st.just("new"),
    st.sampled_from(RUNS),
    st.sampled_from(ORGS),
    st.sampled_from(CAPABILITIES),
    st.integers(1, 10),
    st.booleans(),
)
others = st.tuples(
    st.sampled_from(["slot", "take", "finish", "cancel", "prioritise", "lose", "restart", "depose", "tick"]),
    st.integers(0, 50),
)
histories = long_lists(st.one_of(new, new, others, others, st.tuples(st.just("rules"), rules)), 100)


@settings(max_examples=examples(100))
@given(histories)
def test_limits_hold_and_every_job_is_admitted_in_the_end(history: list[Any]) -> None:
    lab = Lab()
    submitted, cancelled, number = set[str](), set[str](), 0
    for kind, *more in history:
        lab.now += 0.3
        waiting = sorted(lab.state.jobs)
        match kind:
            case "new":
                number += 1
                (run, limit), org, capability, priority, delayed = more
                later = lab.now + 2 if delayed else None
                one = job(
                    number,
                    run=run,
                    limit=limit,
                    org=org,
                    capability=capability,
                    priority=priority,
                    not_before=later,
                )
                submitted.add(one.job_id)
                lab.feed(JobArrived(one))
            case "rules":
                lab.feed(RulesChanged(more[0]))
                for org, limit in lab.state.rules.limits.items():
                    if lab.state.org_in_flight.get(org, 0) >= limit:
                        assert not any(key.org_id == org for key, g in lab.state.active.items() if g.waiting)
            case "cancel" if waiting:
                victim: str = waiting[int(more[0]) % len(waiting)]
                cancelled.add(victim)
                lab.feed(JobWithdrawn(victim))
            case "prioritise" if waiting:
                lab.feed(JobReprioritised(waiting[more[0] % len(waiting)], more[0] % 10 + 1))
            case "tick":
                lab.feed(Tick())
            case "slot":
                lab.add_slot(f"s{more[0] % 4}", ("emulator", "android-14"))
            case "depose":
                was = lab.state.rules
                waits = [j for j in lab.state.jobs.values() if not j.delayed]
                delayed_ones = [j for j in lab.state.jobs.values() if j.delayed]
                for one in [*waits, *delayed_ones]:
                    one.parked = one.gone = one.delayed = False
                holders = {j.job_id: name for name, (_, j) in lab.running.items()}
                lab.state = LabState()
                lab.apply_event(RulesChanged(was))
                for one in [*lab.released.values(), *(j for _, j in lab.running.values())]:
                    lab.apply_event(JobWasReleased(one, holders.get(one.job_id)))
                for one in [*waits, *delayed_ones]:
                    lab.apply_event(JobArrived(one))
                assert_gates_hold(lab.state)
                assert_consistent(lab.state)
            case _:
                act(lab, kind, more[0])
        for run, limit in RUNS:
            assert limit is None or lab.in_flight()[run] <= limit
    lab.feed(RulesChanged(Rules()))
    lab.add_slot("last", ("emulator", "android-14"))
    for name in sorted(lab.labels):
        lab.report(name)
    lab.feed(Tick())  # there is room now, but the time of some has not come
    lab.now += 10
    lab.feed(Tick())
    lab.run_dry()
    assert Counter(lab.ended) == Counter(submitted - cancelled)


def act(lab: Lab, kind: str, number: int) -> None:
    names = sorted(lab.labels)
    if names:
        name = names[number % len(names)]
        does: dict[str, Callable[[str], None]] = {
            "take": lab.take,
            "finish": lab.finish,
            "lose": lab.lose,
            "restart": lab.restart,
        }
        if kind in does:
            does[kind](name)


@settings(max_examples=examples(60))
@given(histories, st.integers(1, 3))
def test_an_organisation_never_has_more_out_than_it_may(history: list[Any], limit: int) -> None:
    lab = Lab()
    lab.feed(RulesChanged(Rules(limits={"o": limit})))
    for number, (kind, *more) in enumerate(history):
        lab.now += 0.3
        if kind == "new":
            _, org, capability, priority, _ = more
            lab.feed(JobArrived(job(number, org=org, capability=capability, priority=priority)))
        elif kind == "slot":
            lab.add_slot(f"s{more[0] % 6}", ("emulator", "android-14"))
        elif kind in {"take", "finish", "lose"}:
            act(lab, kind, more[0])
        assert lab.state.org_in_flight.get("o", 0) <= limit
    assert not any(gates_of(lab.state, j) for j in lab.state.jobs.values() if j.group.org_id == "p")


def test_a_group_that_no_slot_can_run_takes_nothing_from_the_runs_others() -> None:
    lab = Lab()
    lab.add_slot("s", ("emulator",))
    for number in range(4):
        lab.feed(JobArrived(job(number, run="r1", limit=1, capability="iphone", priority=9)))
    lab.feed(JobArrived(job(9, run="r1", limit=1, capability="emulator")))
    assert set(lab.state.in_flight) == {"j9"}


def test_a_more_urgent_job_takes_the_place_of_one_that_waits() -> None:
    lab = Lab()
    for number in (1, 2):
        lab.feed(JobArrived(job(number, run="r1", limit=1)))
    lab.feed(JobArrived(job(3, run="r1", limit=1, priority=9)))
    assert [j.job_id for j in lab.state.jobs.values() if not j.parked] == ["j3"]
    assert [gate.kind for gate in gates_of(lab.state, lab.state.jobs["j1"])] == ["run_limit"]
    lab.feed(JobReprioritised("j2", 10))
    assert [j.job_id for j in lab.state.jobs.values() if not j.parked] == ["j2"]


def test_what_is_out_goes_on_while_its_group_is_paused_and_a_lost_slot_is_replaced() -> None:
    lab = Lab()
    lab.add_slot("s", ())
    lab.feed(JobArrived(job(1)))
    lab.take("s")
    lab.feed(JobArrived(job(2)))
    lab.feed(RulesChanged(Rules((Pause("o"),))))
    lab.lose("s")
    lab.add_slot("t", ())
    lab.take("t")
    lab.finish("t")
    assert lab.ended == ["j1"]
    assert set(lab.state.jobs) == {"j2"}
    assert not lab.state.in_flight
    assert [gate.why for gate in gates_of(lab.state, lab.state.jobs["j2"])] == [
        "the organisation o is paused"
    ]
    lab.feed(RulesChanged(Rules()))
    assert set(lab.state.in_flight) == {"j2"}


@pytest.mark.parametrize(
    ("capability", "group", "holds"),
    [
        ("emulator", "emulator", True),
        ("emulator", "android-14+emulator", True),
        ("android-14+emulator", "emulator", False),
        ("any", "any", True),
        ("any", "emulator", False),
        ("device", "any", False),
    ],
)
def test_a_paused_capability_holds_what_needs_all_its_labels(
    capability: str, group: str, holds: bool
) -> None:
    assert Pause(None, capability).covers(GroupKey(group, "o", "v1")) is holds
    assert not Pause("p", capability).covers(GroupKey(group, "o", "v1"))


def test_jobs_without_a_limit_cost_no_gate() -> None:
    state = LabState()
    lab = Lab(state)
    for number in range(100):
        lab.feed(JobArrived(job(number, run=f"r{number}")))
    assert len(state.run_gates) == 0
    assert not state.blocked
