"""The rows of the job table are at every moment what filtering and sorting everything would give."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from sys import getsizeof

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.events import Released, Started
from tests.support.clock import ManualClock
from tests.support.lab.histories import Seen, histories
from tests.support.lab.model import LabModel
from tui.store.filter import parse_filter
from tui.store.index import JobIndex
from tui.store.job import Job
from tui.store.orders import ORDERS, Key
from tui.store.store import Store

FILTERS = st.sampled_from(
    ["", "state:active", "state:ended", "-test:test_1", "priority:<3", "nothing at all"]
)


STARTED = {"nonce": "n", "agent": "lab-1", "slot": "s0", "device": "d", "app_version_id": "v1"}


def expected(index: JobIndex, store: Store, run_id: str | None = None) -> list[str]:
    known = [job for job_id in store.jobs if (job := store.jobs.get(job_id)) is not None]
    jobs = [job for job in known if index.filter.matches(job) and run_id in {None, job.run_id}]
    return [job.job_id for job in sorted(jobs, key=ORDERS[index.order])]


def expected_with(key: Callable[[Job], Key], index: JobIndex, store: Store) -> list[str]:
    jobs = [job for job_id in store.jobs if (job := store.jobs.get(job_id)) and index.filter.matches(job)]
    return [job.job_id for job in sorted(jobs, key=key)]


def store_of(seed: int, jobs: int) -> Store:
    model = LabModel(seed=seed)
    store = Store(ManualClock(model.now))
    for seq, event in enumerate(model.submit(jobs), start=1):
        store.apply_event(event, seq)
    return store


def work_in(index: JobIndex, budget: int = 4000) -> None:
    while not index.complete:
        index.step(budget)


@given(histories(), FILTERS, st.sampled_from(sorted(ORDERS)), st.data())
def test_it_follows_every_change(events: list[Seen], text: str, order: str, data: st.DataObject) -> None:
    store = Store(ManualClock(3000.0))
    index = JobIndex(store.jobs)
    index.show(filter=parse_filter(text), order=order)
    for seq, event in events:
        store.apply_event(event, seq)
        if data.draw(st.booleans()):
            index.update(store.take_changes().jobs)
    index.update(store.take_changes().jobs)
    assert list(index) == [index[row] for row in range(len(index))] == expected(index, store)
    for row, job_id in enumerate(index):
        assert index.row_of(job_id) == row
    assert index.row_of("j_nobody") is None


@given(FILTERS, st.sampled_from(sorted(ORDERS)), st.integers(1, 50))
def test_a_new_filter_is_worked_in_by_slices_while_jobs_change(text: str, order: str, budget: int) -> None:
    model = LabModel(seed=1)
    store = Store(ManualClock(model.now))
    for seq, event in enumerate(model.play(30), start=1):
        store.apply_event(event, seq)
    store.take_changes()
    index = JobIndex(store.jobs)
    index.show(filter=parse_filter(text), order=order)
    for seq, event in enumerate(model.play(5), start=10_000):
        store.apply_event(event, seq)
        index.update(store.take_changes().jobs)
        index.step(budget)
    work_in(index, budget)
    assert list(index) == expected(index, store)


@given(st.lists(FILTERS, min_size=1, max_size=6), st.sampled_from(sorted(ORDERS)), st.integers(1, 60))
def test_one_filter_follows_another_while_jobs_change(texts: list[str], order: str, budget: int) -> None:
    model = LabModel(seed=4)
    store = Store(ManualClock(model.now))
    events = iter(list(enumerate(model.play(60), start=1)))
    index = JobIndex(store.jobs)
    for seq, event in islice(events, 400):
        store.apply_event(event, seq)
    index.update(store.take_changes().jobs)
    index.show(order=order)
    for text in texts:
        index.show(filter=parse_filter(text))  # the one before may not be worked in yet
        for seq, event in islice(events, 20):
            store.apply_event(event, seq)
            index.update(store.take_changes().jobs)
            index.step(budget)
            assert list(index) == [job_id for job_id in expected(index, store) if job_id in index]
    work_in(index, budget)
    assert list(index) == expected(index, store)


def test_the_jobs_of_one_run_are_those_alone() -> None:
    model = LabModel(seed=5)
    store = Store(ManualClock(model.now))
    events = list(enumerate(model.play(60), start=1))
    run_id = events[0][1].run_id
    index = JobIndex(store.jobs, run_id=run_id)
    for seq, event in events[:200]:
        store.apply_event(event, seq)
    store.take_changes()
    index.show(order="trouble")
    for seq, event in events[200:]:
        store.apply_event(event, seq)
        index.update(store.take_changes().jobs)
        index.step(1)
    work_in(index)
    assert 0 < len(index) < len(store.jobs)
    assert list(index) == expected(index, store, run_id)


@pytest.mark.parametrize("order", ["latest", "work", "trouble"])
def test_what_runs_stands_above_what_is_only_released_to_a_slot(order: str) -> None:
    model = LabModel(seed=6)
    store = Store(ManualClock(model.now))
    for seq, event in enumerate(model.submit(3), start=1):
        store.apply_event(event, seq)
    waits, ahead, runs = list(store.jobs)
    for seq, (job_id, kind) in enumerate([(ahead, Released), (runs, Released), (runs, Started)], start=100):
        job = store.jobs.get(job_id)
        assert job is not None
        about = {"org_id": job.org_id, "run_id": job.run_id, "job_id": job_id, "attempt": 1, "at": model.now}
        more = {"group": "g_1"} if kind is Released else {**STARTED, "phase": "running"}
        store.apply_event(kind.model_validate({**about, **more}), seq)
    index = JobIndex(store.jobs)
    index.show(order=order)
    work_in(index)
    assert list(index) == [runs, ahead, waits]


def test_another_filter_needs_no_keys_and_begins_with_its_first_rows() -> None:
    """A letter typed over many jobs must cost neither sorting nor looking at all of them."""
    store = store_of(seed=6, jobs=2000)
    index = JobIndex(store.jobs)
    index.show(order="test")
    work_in(index)
    original = ORDERS["test"]
    ORDERS["test"] = lambda _job: pytest.fail("a key was asked for")
    try:
        index.show(filter=parse_filter("test"))
        index.step(100)
        assert list(index) == expected_with(original, index, store)[: len(index)]
        assert 0 < len(index) <= 100
        work_in(index)
        index.show(filter=parse_filter(""))
        assert index.complete
    finally:
        ORDERS["test"] = original
    assert list(index) == expected(index, store)


def test_the_room_for_keys_is_not_that_of_all_jobs_that_ever_were() -> None:
    model = LabModel(seed=7)
    store = Store(ManualClock(model.now))
    index = JobIndex(store.jobs)
    index.show()
    sizes: list[int] = []
    for seq, event in enumerate(model.submit(3000), start=1):
        store.apply_event(event, seq)
        if seq > 500:
            store.jobs.drop(next(iter(store.jobs)))
        index.update(store.take_changes().jobs)
        if seq % 500 == 0:
            sizes.append(getsizeof(vars(index)["_key_of"]))
    assert max(sizes) == sizes[0]


def test_many_changes_at_once_and_forgotten_jobs() -> None:
    model = LabModel(seed=2)
    store = Store(ManualClock(model.now), max_jobs=60)
    index = JobIndex(store.jobs)
    index.show()
    for seq, event in enumerate(model.play(300), start=1):
        store.apply_event(event, seq)
        if seq % 50 == 0:
            index.update(store.take_changes().jobs)
    index.update(store.take_changes().jobs)
    assert store.jobs.forgotten
    assert list(index) == expected(index, store)


def test_moving_one_of_many_jobs_touches_one_row() -> None:
    """A change must not cost a sort: the keys of the other rows are never asked for."""
    store = store_of(seed=3, jobs=500)
    index = JobIndex(store.jobs)
    index.show()
    work_in(index)
    store.take_changes()
    asked: list[str] = []

    def counting(job: object) -> tuple[float, float, float, str]:
        asked.append("key")
        return original(job)  # type: ignore[arg-type]

    original = ORDERS["latest"]
    ORDERS["latest"] = counting  # type: ignore[assignment]
    try:
        index.update({index[250]})
    finally:
        ORDERS["latest"] = original
    assert len(asked) <= 2
