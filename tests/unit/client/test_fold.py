from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.events import AnyEvent, Preparing, Refused, Released, Retrying, Running, TakenOver
from bus_schemas.queries import JobView
from qgjob.client.watching.fold import apply_event
from tests.support.views import NOW, ended, event_ids, queued, started, view

JOB = view()


def fold(*events: AnyEvent, start: JobView | None = JOB) -> JobView | None:
    state = start
    for event in events:
        state = apply_event(state, event)
    return state


def released(attempt: int = 1) -> Released:
    return Released(**event_ids(JOB, attempt), group="g")


def running(attempt: int = 1) -> Running:
    return Running(**event_ids(JOB, attempt), installed=True, install_s=1.5)


def retrying(next_attempt: int, not_before: float | None = None) -> Retrying:
    return Retrying(
        **event_ids(JOB, next_attempt - 1), next_attempt=next_attempt, charged=True, not_before=not_before
    )


HISTORY: list[AnyEvent] = [
    queued(JOB),
    released(),
    started(JOB),
    running(),
    ended(JOB, "failed", final=False),
    retrying(2),
    released(2),
    started(JOB, 2),
    running(2),
    ended(JOB, "passed", 2),
]


def test_a_job_passes_through_its_states():
    states: list[str] = []
    job: JobView | None = None
    for event in HISTORY:
        job = apply_event(job, event)
        assert job is not None
        states.append(job.state)
    assert states == [
        "queued",
        "dispatched",
        "preparing",
        "running",
        "queued",
        "queued",
        "dispatched",
        "preparing",
        "running",
        "passed",
    ]


def test_the_end_has_all_attempts_and_says_flaky():
    job = fold(*HISTORY)
    assert job is not None
    assert [(a.number, a.outcome) for a in job.attempts] == [(1, "failed"), (2, "passed")]
    assert job.flaky
    assert job.ended_at == NOW + 2


def test_an_install_is_noted_on_the_attempt():
    job = fold(started(JOB), running())
    assert job is not None
    assert job.attempts[0].installed
    assert job.attempts[0].install_s == 1.5


@given(st.lists(st.integers(0, len(HISTORY) - 1), max_size=10))
def test_repeated_events_change_nothing(repeats: list[int]):
    """Each event may come again at any time after itself."""
    twice: list[AnyEvent] = []
    for number, event in enumerate(HISTORY):
        twice.append(event)
        twice += [HISTORY[r] for r in repeats if r <= number]
    assert fold(*twice, start=None) == fold(*HISTORY, start=None)


def test_a_release_told_after_the_start_is_not_a_step_back():
    job = fold(started(JOB), released())
    assert job is not None
    assert job.state == "preparing"


def test_a_takeover_steps_back():
    take_over = TakenOver.model_validate(
        started(JOB, takeovers=1, agent="a2").model_dump() | {"kind": "taken_over"}
    )
    job = fold(started(JOB), running(), take_over)
    assert job is not None
    assert (job.state, job.attempts[0].agent) == ("preparing", "a2")


def test_a_retry_for_later_is_scheduled():
    job = fold(started(JOB), ended(JOB, "errored", final=False), retrying(2, not_before=NOW + 60))
    assert job is not None
    assert job.state == "scheduled"


def test_an_ended_job_stays_ended():
    job = fold(ended(JOB, "cancelled"), released(), started(JOB), ended(JOB, "passed"))
    assert job is not None
    assert job.state == "cancelled"


def test_an_ended_job_lives_again_by_a_request():
    asked = Retrying(**event_ids(JOB), next_attempt=2, charged=False, by="ann", nonce="n")
    job = fold(started(JOB), ended(JOB, "failed"), asked)
    assert job is not None
    assert (job.state, job.ended_at, [a.outcome for a in job.attempts]) == ("queued", None, ["failed"])
    job = fold(released(2), started(JOB, 2), ended(JOB, "passed", 2), start=job)
    assert job is not None
    assert (job.state, job.flaky) == ("passed", True)


def test_a_cancelled_job_that_never_started_lives_again():
    asked = Retrying(**event_ids(JOB), next_attempt=2, charged=False, by="ann", nonce="n")
    job = fold(Refused(**event_ids(JOB), message="incomplete"), asked, released(2))
    assert job is not None
    assert job.state == "dispatched"


def test_a_refused_run_is_cancelled():
    job = fold(Refused(**event_ids(JOB), message="incomplete"))
    assert job is not None
    assert (job.state, job.message) == ("cancelled", "incomplete")


def test_an_event_of_an_unknown_job_makes_no_view_but_its_queueing_does():
    assert apply_event(None, started(JOB)) is None
    assert apply_event(None, Preparing(**event_ids(JOB), step="x")) is None
    made = apply_event(None, queued(JOB))
    assert made is not None
    assert made.test == JOB.test
