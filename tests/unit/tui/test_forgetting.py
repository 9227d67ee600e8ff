"""Which jobs the dashboard forgets when there are too many."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from sys import getsizeof

import pytest

from bus_schemas.queries import JobView
from tests.support.clock import ManualClock
from tests.support.lab.model import START
from tui.store.job import Job
from tui.store.oldest import Evictable
from tui.store.store import Store


def see(store: Store, number: int, *, ended: bool) -> None:
    store.apply_view(
        JobView(
            job_id=f"j_{number}",
            run_id="r",
            org_id="o",
            app_version_id="v",
            test="t",
            state="passed" if ended else "queued",
            priority=5,
            runner="pytest",
            created_at=float(number),
            ended_at=float(number) if ended else None,
        )
    )


def test_the_oldest_ended_jobs_are_forgotten_first() -> None:
    store = Store(ManualClock(START), max_jobs=40)
    for number in range(60):
        see(store, number, ended=number < 30)
    assert len(store.jobs) <= 40
    assert all(store.jobs.get(f"j_{number}") for number in range(30, 60))
    assert store.jobs.get("j_0") is None


def test_one_job_is_forgotten_for_each_that_comes() -> None:
    store = Store(ManualClock(START), max_jobs=100)
    for number in range(100):
        see(store, number, ended=number % 2 == 0)
    store.take_changes()
    for number in range(100, 140):
        see(store, number, ended=False)
        assert len(store.jobs) == 100
        assert store.take_changes().jobs == {f"j_{number}", f"j_{2 * (number - 100)}"}


@pytest.mark.parametrize("wakes", [True, False])
def test_jobs_that_have_not_ended_are_all_kept_and_rarely_looked_through(
    monkeypatch: pytest.MonkeyPatch, wakes: bool
) -> None:
    looked_at: list[int] = []

    def counting(self: Evictable, job_ids: Collection[str]) -> None:
        looked_at.append(len(job_ids))
        original(self, job_ids)

    original = Evictable.begin
    monkeypatch.setattr(Evictable, "begin", counting)
    store = Store(ManualClock(START), max_jobs=1000)
    for number in range(3000):
        see(store, number, ended=number < 10)
        if wakes:
            store.jobs.promote_due(START)
    assert len(store.jobs) == 2990
    assert len(looked_at) <= 100  # one for every twentieth of the limit or so, not one for each job


def test_those_to_be_forgotten_are_found_before_there_is_need_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[int] = []

    def counting(self: Evictable, jobs: Mapping[str, Job], budget: int) -> None:
        steps.append(budget)
        original(self, jobs, budget)

    original = Evictable.step
    monkeypatch.setattr(Evictable, "step", counting)
    store = Store(ManualClock(START), max_jobs=10_000)
    for number in range(30_000):
        see(store, number, ended=True)
        if number % 50 == 0:
            store.jobs.promote_due(START)
    assert len(store.jobs) == 10_000
    assert store.jobs.get("j_19999") is None
    assert max(steps) < 5000  # no key has to wait for a look at all of them


def test_what_is_left_of_a_large_run_does_not_take_its_room() -> None:
    store = Store(ManualClock(START))
    for number in range(1000):
        see(store, number, ended=True)
    run = store.jobs.runs.get("r")
    assert run is not None
    for number in range(997):
        store.jobs.drop(f"j_{number}")
    assert run.job_ids == {"j_997", "j_998", "j_999"}
    assert getsizeof(run.job_ids) <= getsizeof(set(range(5)))
