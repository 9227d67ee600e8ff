"""The rows of the job table are at every moment what filtering and sorting everything would give."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qgjob.clock import ManualClock
from tests.support.lab.histories import Seen, histories
from tests.support.lab.model import LabModel
from tui.store.filter import parse_filter
from tui.store.index import ORDERS, JobIndex
from tui.store.store import Store

FILTERS = st.sampled_from(
    ["", "state:active", "state:ended", "-test:test_1", "priority:<3", "nothing at all"]
)


def expected(index: JobIndex, store: Store) -> list[str]:
    jobs = [job for job_id in store.jobs if (job := store.jobs.get(job_id)) and index.filter.matches(job)]
    return [job.job_id for job in sorted(jobs, key=ORDERS[index.order])]


def work_in(index: JobIndex, budget: int = 4000) -> None:
    while not index.complete:
        index.step(budget)


@given(histories(), FILTERS, st.sampled_from(sorted(ORDERS)), st.data())
def test_it_follows_every_change(events: list[Seen], text: str, order: str, data: st.DataObject) -> None:
    store = Store(ManualClock(3000.0))
    index = JobIndex(store.jobs)
    index.show(filter=parse_filter(text), order=order)
    for seq, event in events:
        store.hear_event(event, seq)
        if data.draw(st.booleans()):
            index.update(store.take().jobs)
    index.update(store.take().jobs)
    assert list(index) == expected(index, store)
    for row, job_id in enumerate(index):
        assert index.row_of(job_id) == row
        assert index.slice(row, row + 1) == [job_id]
    assert index.row_of("j_nobody") is None


@given(FILTERS, st.sampled_from(sorted(ORDERS)), st.integers(1, 50))
def test_a_new_filter_is_worked_in_by_slices_while_jobs_change(text: str, order: str, budget: int) -> None:
    model = LabModel(seed=1)
    store = Store(ManualClock(model.now))
    for seq, event in enumerate(model.play(30), start=1):
        store.hear_event(event, seq)
    store.take()
    index = JobIndex(store.jobs)
    index.show(filter=parse_filter(text), order=order)
    for seq, event in enumerate(model.play(5), start=10_000):
        store.hear_event(event, seq)
        index.update(store.take().jobs)
        index.step(budget)
    work_in(index, budget)
    assert list(index) == expected(index, store)


def test_many_changes_at_once_and_forgotten_jobs() -> None:
    model = LabModel(seed=2)
    store = Store(ManualClock(model.now), max_jobs=60)
    index = JobIndex(store.jobs)
    index.show()
    for seq, event in enumerate(model.play(300), start=1):
        store.hear_event(event, seq)
        if seq % 50 == 0:
            index.update(store.take().jobs)
    index.update(store.take().jobs)
    assert store.jobs.forgotten
    assert list(index) == expected(index, store)


def test_moving_one_of_many_jobs_touches_one_row() -> None:
    """A change must not cost a sort: the keys of the other rows are never asked for."""
    model = LabModel(seed=3)
    store = Store(ManualClock(model.now))
    for seq, event in enumerate(model.submit(500), start=1):
        store.hear_event(event, seq)
    index = JobIndex(store.jobs)
    index.show()
    work_in(index)
    store.take()
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
