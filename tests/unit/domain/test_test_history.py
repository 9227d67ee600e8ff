from __future__ import annotations

from typing import Any

from bus_schemas.history import OutcomeRecord
from qgjob.domain.testhistory import summarise
from qgjob.scheduler.queries.test_history import outcomes_of
from tests.support.samples.events import ATTEMPT
from tests.support.views import ended, view


def record(job: str, outcome: str, attempt: int = 1, **more: Any) -> OutcomeRecord:
    return OutcomeRecord.model_validate(
        {
            "org_id": "acme",
            "test": "t.py",
            "job_id": job,
            "run_id": "r",
            "attempt": attempt,
            "app_version_id": "v1",
            "outcome": outcome,
            "at": attempt,
            **more,
        }
    )


def test_a_job_counts_once_and_is_flaky_when_it_passed_after_a_failure():
    seen = summarise(
        [
            record("a", "passed", duration_s=1.0),
            record("b", "passed", 2, duration_s=3.0),
            record("b", "failed", 1, duration_s=9.0),
            record("c", "passed", 2),
            record("c", "errored", 1),
            record("d", "timed_out", duration_s=900.0),
            record("e", "passed", flaky=True),
            record("f", "errored"),
        ]
    )
    assert (seen.attempts, seen.jobs, seen.passed, seen.failed, seen.errored) == (8, 6, 4, 1, 1)
    assert (seen.flaky, seen.flakiness, seen.failure_rate) == (2, 2 / 5, 1 / 5)
    assert (seen.median_s, seen.slowest_s) == (3.0, 9.0)


def test_nothing_is_no_division_by_zero():
    seen = summarise([])
    assert (seen.jobs, seen.flakiness, seen.median_s) == (0, 0.0, None)


def test_an_end_is_remembered_for_its_test_and_that_of_a_shard_for_each_of_its_files():
    job = view()
    (one,) = outcomes_of(ended(job, "failed", message="no button").model_copy(update={"test": job.test}))
    assert one.subject == "qg.history.acme.tests=2Fa=2Epy"
    assert OutcomeRecord.decode(one.payload).message == "no button"
    (file,) = outcomes_of(ended(job, "failed").model_copy(update={"result": ATTEMPT}))
    assert OutcomeRecord.decode(file.payload).test == "tests/test_b.py"
    assert list(outcomes_of(ended(job, "cancelled").model_copy(update={"test": job.test}))) == []
