"""A job's document is a function of its events: in order, whatever comes twice, rolled up or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.events import AnyEvent, Attempt, Cancelling, Queued, Refused, Released, Retrying, Running
from bus_schemas.jobs import JobMessage
from qgjob.domain.history import JobDoc, apply, promote
from qgjob.store.documents import RunDoc, job_fields, read_job
from qgjob.store.projection import StoredEvent
from qgjob.store.views import apply_to_run, waiting_job
from tests.support.histories import (
    BEGIN,
    Ids,
    ended,
    lifetime,
    queued,
    rolled_up,
    said,
    spec_of,
    started,
    streams,
)

ONE = Ids()


def fold(events: Iterable[StoredEvent]) -> tuple[dict[str, JobDoc], dict[str, RunDoc]]:
    jobs: dict[str, JobDoc] = {}
    runs: dict[str, RunDoc] = {}
    for event, seq, at in events:
        known = jobs.get(event.job_id)
        before = (known.state, known.begun) if known else None
        doc = apply(known, event, seq, at)
        if doc is None:
            continue
        jobs[event.job_id] = doc
        run = apply_to_run(runs.get(event.run_id), event, seq, before=before, job=doc)
        assert run is not None
        runs[event.run_id] = run
    return jobs, runs


def job_of(*events: AnyEvent) -> JobDoc:
    jobs, _ = fold(StoredEvent(event, n, BEGIN + n) for n, event in enumerate(events, 1))
    return jobs[ONE.job_id]


@given(streams(), st.data())
def test_batches_that_come_again_change_nothing(stream: list[StoredEvent], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    fed: list[StoredEvent] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        fed += stream[start:stop]
        fed += data.draw(st.permutations(fed)) if data.draw(st.booleans()) else []
    assert fold(fed) == fold(stream)


@given(streams())
def test_a_rolled_up_history_says_the_same(stream: list[StoredEvent]) -> None:
    left = rolled_up(stream)
    announced = {e.event.job_id for e in stream if isinstance(e.event, Queued)}
    for (job_id, whole), (_, rest) in zip(*(sorted(fold(s)[0].items()) for s in (stream, left)), strict=True):
        if job_id in announced:
            assert rest == whole
    assert {k: (r.counts, r.begun) for k, r in fold(left)[1].items()} == {
        k: (r.counts, r.begun) for k, r in fold(stream)[1].items()
    }


@given(streams())
def test_a_run_counts_each_of_its_jobs_once(stream: list[StoredEvent]) -> None:
    jobs, runs = fold(stream)
    for run in runs.values():
        mine = [doc for doc in jobs.values() if doc.run_id == run.run_id]
        assert run.known == len(mine)
        assert run.begun == sum(doc.begun for doc in mine)
        assert run.counts == {s: sum(doc.state == s for doc in mine) for s in {doc.state for doc in mine}}
        assert sum(run.view().counts.values()) == run.view().size >= len(mine)


@given(streams())
def test_documents_come_back_from_the_store_as_they_were(stream: list[StoredEvent]) -> None:
    jobs, runs = fold(stream)
    for doc in jobs.values():
        assert read_job(_as_hash(job_fields(doc))) == doc
    for run in runs.values():
        assert RunDoc.from_fields(_as_hash(run.fields())) == run


@given(streams())
def test_every_document_can_be_shown(stream: list[StoredEvent]) -> None:
    jobs, runs = fold(stream)
    views = tuple(doc.view(BEGIN) for doc in jobs.values())
    for run in runs.values():
        assert run.view(views).jobs == views


def _as_hash(fields: Sequence[str]) -> dict[str, str]:
    return dict(zip(fields[::2], fields[1::2], strict=True))


def test_the_usual_life() -> None:
    doc = job_of(*lifetime(ONE))
    view = doc.view(BEGIN + 10)
    assert (view.state, view.queued_at, view.ended_at) == ("passed", BEGIN + 1, BEGIN + 4)
    assert [(a.number, a.agent, a.outcome) for a in view.attempts] == [(1, "lab-0", "passed")]
    assert not view.flaky


def test_an_end_whose_start_was_rolled_up() -> None:
    doc = job_of(queued(ONE), ended(ONE, state="failed"))
    assert doc.state == "failed"
    assert doc.begun
    assert doc.reason == "exit_code"


def test_what_is_said_of_an_attempt_after_its_end_is_late() -> None:
    doc = job_of(*lifetime(ONE, state="failed"), Running(**said(ONE)), started(ONE))
    assert doc.state == "failed"
    assert doc.attempts[1].outcome == "failed"


def test_a_retry_makes_a_flaky_pass() -> None:
    again = Retrying(**said(ONE), next_attempt=2, charged=True)
    events = [queued(ONE), started(ONE), ended(ONE, state="failed", final=False), again]
    assert job_of(*events).state == "queued"
    doc = job_of(*events, started(ONE, 2), ended(ONE, 2))
    assert doc.flaky
    assert list(doc.attempts) == [1, 2]
    assert not job_of(queued(ONE), ended(ONE, state="errored", final=False), again, ended(ONE, 2)).flaky


def test_a_late_retry_does_not_take_the_next_attempt_back() -> None:
    again = Retrying(**said(ONE), next_attempt=2, charged=True)
    events = [queued(ONE), started(ONE), ended(ONE, state="failed", final=False)]
    assert job_of(*events, started(ONE, 2), again).state == "running"


def test_a_takeover_may_step_back_to_preparing() -> None:
    doc = job_of(queued(ONE), started(ONE), started(ONE, phase="preparing", takeovers=1))
    assert doc.state == "preparing"
    assert doc.attempts[1].takeovers == 1
    assert doc.attempts[1].agent == "lab-1"


def test_announced_only_after_it_started() -> None:
    doc = job_of(started(ONE), queued(ONE))
    assert doc.state == "running"
    assert doc.test == "tests/test_j_1.py"
    assert doc.order == 2


def test_announced_twice_by_two_leaders() -> None:
    doc = job_of(queued(ONE), Released(**said(ONE), group="g"), queued(ONE))
    assert (doc.state, doc.order, doc.queued_at) == ("dispatched", 1, BEGIN + 1)


def test_a_delayed_job_waits_like_others_once_its_time_has_come() -> None:
    doc = job_of(queued(ONE, not_before=BEGIN + 100))
    assert doc.state == doc.view(BEGIN + 99).state == "scheduled"
    assert doc.view(BEGIN + 100).state == "queued"
    assert not promote(doc, BEGIN + 99)
    assert promote(doc, BEGIN + 100)
    assert doc.state == "queued"


def test_a_refused_run_is_cancelled() -> None:
    doc = job_of(Refused(**said(ONE), message="the run stayed incomplete"))
    view = doc.view(BEGIN)
    assert (view.state, view.reason, view.message) == ("cancelled", "refused", "the run stayed incomplete")
    assert (view.app_version_id, view.runner) == ("unknown", "unknown")


def test_a_cancel_that_is_under_way_says_so() -> None:
    doc = job_of(queued(ONE), started(ONE), Cancelling(**said(ONE), by="me", reason="not needed"))
    assert (doc.state, doc.reason, doc.message) == ("running", "cancelling", "not needed")


def test_another_organisations_job_of_that_name_changes_nothing() -> None:
    doc = job_of(*lifetime(ONE)[:2])
    assert apply(doc, started(Ids(org_id="other")), 9, BEGIN) is None
    assert apply(doc, started(Ids(run_id="r_2")), 9, BEGIN) is None
    assert (doc.state, doc.seq) == ("dispatched", 2)


def test_only_the_latest_attempts_are_remembered() -> None:
    doc = job_of(queued(ONE), *(ended(ONE, n, "errored", final=False) for n in range(1, 300)))
    assert len(doc.attempts) == 256
    assert max(doc.attempts) == 299


@pytest.mark.parametrize(
    ("counts", "begun", "state"),
    [
        ({}, False, "queued"),
        ({"queued": 2}, False, "queued"),
        ({"queued": 1, "dispatched": 1, "scheduled": 1}, False, "queued"),
        ({"queued": 2}, True, "running"),
        ({"queued": 1, "cancelled": 1}, False, "queued"),
        ({"running": 1, "failed": 1}, True, "running"),
        ({"preparing": 1}, True, "running"),
        ({"passed": 3}, True, "passed"),
        ({"passed": 3, "failed": 1, "cancelled": 1}, True, "failed"),
        ({"passed": 3, "timed_out": 1}, True, "failed"),
        ({"errored": 1, "failed": 1}, True, "errored"),
        ({"passed": 1, "expired": 1}, True, "cancelled"),
        ({"cancelled": 1}, False, "cancelled"),
    ],
)
def test_the_state_of_a_run(counts: dict[str, int], begun: bool, state: str) -> None:
    run = RunDoc("r_1", "acme", counts=counts, begun=int(begun))
    assert run.view().state == state


def test_a_run_that_is_partly_known_is_not_smaller_than_it_is() -> None:
    _, runs = fold([StoredEvent(queued(ONE, size=10), 1, BEGIN), StoredEvent(ended(ONE), 2, BEGIN)])
    view = runs["r_1"].view()
    assert (view.size, view.counts, view.state, view.name) == (
        10,
        {"passed": 1, "queued": 9},
        "running",
        "nightly",
    )
    assert not runs["r_1"].ended


def test_a_job_that_stands_in_the_backlog_alone() -> None:
    doc = waiting_job(JobMessage(spec=spec_of(ONE)), BEGIN)
    assert (doc.state, doc.seq, doc.test) == ("queued", 0, "tests/test_j_1.py")
    assert waiting_job(JobMessage(spec=spec_of(ONE), not_before=BEGIN + 5), BEGIN).state == "scheduled"
    assert apply(doc, ended(ONE), 1, BEGIN) is doc


def test_a_result_that_does_not_name_its_outcome() -> None:
    event = ended(ONE).model_copy(update={"result": Attempt(number=7)})
    doc = job_of(queued(ONE), event)
    assert doc.attempts == {1: Attempt(number=1, outcome="passed")}
