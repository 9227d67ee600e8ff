"""Whatever the order, however often, with whatever snapshots in between: the same jobs come out."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.agents import Heartbeat, SlotStatus
from bus_schemas.queries import JobView, LeaderView, Overview
from qgjob.client.watching.fold import apply_event
from tests.support.clock import ManualClock
from tests.support.lab.histories import Seen, histories
from tui.store.job import Job
from tui.store.store import Store

NOW = 3000.0


def store_of() -> Store:
    return Store(ManualClock(NOW))


def told(job: Job) -> tuple[object, ...]:
    """Everything a screen could show of a job."""
    return (
        job.state,
        job.attempt,
        job.agent,
        job.slot,
        job.spec,
        job.furthest,
        job.not_before,
        job.queued_at,
        job.updated_at,
        job.since,
        job.started_at,
        job.ended_at,
        job.flaky,
        job.cancelling,
        job.due,
        [(a.number, a.claim, a.run, a.end, a.step, a.cancelling) for a in job.attempts],
    )


def all_told(store: Store) -> dict[str, tuple[object, ...]]:
    return {job_id: told(job) for job_id in store.jobs if (job := store.jobs.get(job_id))}


def heard(events: Sequence[Seen]) -> Store:
    store = store_of()
    for seq, event in events:
        store.apply_event(event, seq)
    return store


def views_after(events: Sequence[Seen]) -> list[JobView]:
    """What the query service would answer after these events."""
    views: dict[str, JobView] = {}
    for _, event in events:
        view = apply_event(views.get(event.job_id), event)
        if view is not None:
            views[event.job_id] = view
    return list(views.values())


@given(histories(), st.randoms(use_true_random=False), st.data())
def test_shuffled_and_repeated_events_converge(
    events: list[Seen], dice: random.Random, data: st.DataObject
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=6))
    shuffled = [*events, *repeated]
    dice.shuffle(shuffled)
    assert all_told(heard(shuffled)) == all_told(heard(events))


@given(histories(), st.data())
def test_a_snapshot_then_the_events_after_it(events: list[Seen], data: st.DataObject) -> None:
    """Subscribe, snapshot, apply: events that the snapshot knows already may come again."""
    snapshot_at = data.draw(st.integers(0, len(events)))
    heard_from = data.draw(st.integers(0, snapshot_at))
    store = store_of()
    for view in views_after(events[:snapshot_at]):
        store.apply_view(view)
    for seq, event in events[heard_from:]:
        store.apply_event(event, seq)
    for job_id, state in {i: t[0] for i, t in all_told(heard(events)).items()}.items():
        job = store.jobs.get(job_id)
        assert job is not None
        assert job.state == state


@given(histories(), st.randoms(use_true_random=False), st.data())
def test_old_snapshots_change_nothing(events: list[Seen], dice: random.Random, data: st.DataObject) -> None:
    """A snapshot of any moment, put in anywhere among the events, leaves every state as it was."""
    steps: list[Seen | JobView] = list(events)
    for _ in range(data.draw(st.integers(1, 3))):
        steps.extend(views_after(events[: data.draw(st.integers(0, len(events)))]))
    dice.shuffle(steps)
    store = store_of()
    for step in steps:
        if isinstance(step, JobView):
            store.apply_view(step)
        else:
            store.apply_event(step[1], step[0])
    wanted = heard(events)
    for job_id in wanted.jobs:
        mine, theirs = store.jobs.get(job_id), wanted.jobs.get(job_id)
        assert mine is not None
        assert theirs is not None
        # A delay is not in a view: one that says "queued" has seen it pass.
        states = {"scheduled": "queued"}
        assert states.get(mine.state, mine.state) == states.get(theirs.state, theirs.state)
        assert (mine.attempt, mine.slot_name, mine.flaky, mine.ended_at) == (
            theirs.attempt,
            theirs.slot_name,
            theirs.flaky,
            theirs.ended_at,
        )


@given(histories())
def test_the_states_are_those_of_the_client(events: list[Seen]) -> None:
    """The dashboard and `qgjob status` must not tell two stories."""
    store = heard(events)
    for view in views_after(events):
        job = store.jobs.get(view.job_id)
        assert job is not None
        same = {"scheduled": "queued"}
        assert same.get(job.state, job.state) == same.get(view.state, view.state)


def beats() -> st.SearchStrategy[Heartbeat]:
    return st.builds(
        Heartbeat,
        agent=st.sampled_from(["a", "b"]),
        host=st.just("h"),
        pid=st.just(1),
        version=st.just("1"),
        started_at=st.just(0.0),
        at=st.integers(0, 5).map(float),
        state=st.sampled_from(["up", "gone"]),
        slots=st.lists(
            st.builds(SlotStatus, name=st.just("s0"), driver=st.just("d"), state=st.just("idle")), max_size=1
        ).map(tuple),
    )


@given(st.lists(beats(), max_size=8), st.randoms(use_true_random=False))
def test_heartbeats_converge(heartbeats: list[Heartbeat], dice: random.Random) -> None:
    def last(order: list[Heartbeat]) -> list[Heartbeat]:
        store = store_of()
        for beat in order:
            store.apply_heartbeat(beat)
        return [record.beat for record in store.lab.agents()]

    shuffled = heartbeats * 2
    dice.shuffle(shuffled)
    assert last(shuffled) == last(heartbeats)


def overviews() -> st.SearchStrategy[Overview]:
    return st.builds(
        Overview,
        at=st.floats(0, 100),
        leader=st.builds(LeaderView, replica=st.just("s"), epoch=st.integers(1, 3), since=st.just(0.0)),
        waiting=st.integers(0, 5),
    )


@given(
    st.lists(overviews(), max_size=6, unique_by=lambda o: (o.leader and o.leader.epoch, o.at)),
    st.randoms(use_true_random=False),
)
def test_overviews_converge(seen: list[Overview], dice: random.Random) -> None:
    def last(order: list[Overview]) -> Overview | None:
        store = store_of()
        for overview in order:
            store.apply_overview(overview)
        return store.overview

    shuffled = seen * 2
    dice.shuffle(shuffled)
    assert last(shuffled) == last(seen)
