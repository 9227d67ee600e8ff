"""A lab's history becomes a trace that can be simulated."""

from __future__ import annotations

from typing import Any

from bus_schemas.events import Attempt
from bus_schemas.queries import JobView
from qgjob.simulate.history import trace_of
from qgjob.simulate.trace import TraceJob


def job(name: str, **more: Any) -> JobView:
    given: dict[str, Any] = {
        "job_id": f"j_{name}",
        "run_id": "r_1",
        "org_id": "acme",
        "app_version_id": "v1",
        "test": f"{name}.py",
        "state": "passed",
        "priority": 7,
        "runner": "command",
        "created_at": 1000.0,
    }
    return JobView(**given | more)


def ran(number: int, finished: float, took: float | None) -> Attempt:
    return Attempt(number=number, finished_at=finished, duration_s=took)


def test_every_attempt_that_ran_is_a_job_and_a_retry_arrives_after_the_failure() -> None:
    jobs = [
        job("b", queued_at=1010.0, attempts=(ran(1, 1030.0, 4.0),), target="emulator"),
        job("a", attempts=(ran(1, 1007.0, 2.5), ran(2, 1050.0, 3.0)), variant="#2"),
    ]
    assert trace_of(jobs) == [
        TraceJob(0.0, "v1", "a.py [#2]", 2.5, 7, None, "acme"),
        TraceJob(7.0, "v1", "a.py [#2]", 3.0, 7, None, "acme"),
        TraceJob(10.0, "v1", "b.py", 4.0, 7, "emulator", "acme"),
    ]


def test_what_never_ran_is_left_out() -> None:
    jobs = [job("a"), job("b", attempts=(ran(1, 1005.0, None), ran(2, 1009.0, 1.0)), requires=("ios",))]
    assert trace_of(jobs) == [TraceJob(0.0, "v1", "b.py", 1.0, 7, "ios", "acme")]
    assert trace_of([]) == []
