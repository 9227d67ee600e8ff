"""Histories of jobs for property tests: every sequence of events that the system may write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from bus_schemas.events import (
    AnyEvent,
    Attempt,
    Cancelling,
    Ended,
    Preparing,
    Queued,
    Released,
    Retrying,
    Running,
    Started,
    TakenOver,
)
from bus_schemas.jobs import JobSpec

Seen = tuple[int, AnyEvent]
Draw = Callable[[st.SearchStrategy[Any]], Any]
_ENDS = ("passed", "failed", "errored", "timed_out")


def _spec(number: int) -> JobSpec:
    return JobSpec(
        job_id=f"j_{number}",
        run_id=f"r_{number % 2}",
        org_id="acme",
        app_version_id="v1",
        test=f"tests/test_{number}.py",
        priority=1 + number % 10,
        runner="pytest",
        created_at=1000.0,
    )


def _history(draw: Draw, number: int) -> list[AnyEvent]:
    spec = _spec(number)
    at = 1000.0
    events: list[AnyEvent] = []

    def of(attempt: int) -> dict[str, Any]:
        nonlocal at
        at += draw(st.integers(0, 9))
        return {"org_id": "acme", "run_id": spec.run_id, "job_id": spec.job_id, "attempt": attempt, "at": at}

    delay = draw(st.sampled_from([None, None, 5000.0]))
    events.append(Queued(**of(1), spec=spec, not_before=delay))
    attempts = draw(st.integers(1, 3))
    for attempt in range(1, attempts + 1):
        last = attempt == attempts
        if draw(st.booleans()):
            events.append(Released(**of(attempt), group="g_1"))
        if last and draw(st.integers(0, 9)) == 0:
            break
        if last and draw(st.integers(0, 9)) == 0:
            result = Attempt(number=attempt, outcome="cancelled", finished_at=at)
            events.append(
                Ended(**of(attempt), nonce="c", state="cancelled", result=result, app_version_id="v1")
            )
            break
        takeovers = draw(st.integers(0, 2))
        running_at = None
        for holder in range(takeovers + 1):
            kind = TakenOver if holder else Started
            events.append(
                kind(
                    **of(attempt),
                    nonce=f"n{attempt}{holder}",
                    agent=f"lab-{holder}",
                    slot="s0",
                    app_version_id="v1",
                    phase=draw(st.sampled_from(["preparing", "running"])),
                    takeovers=holder,
                )
            )
            if draw(st.booleans()):
                events.append(Preparing(**of(attempt), step="install"))
            if draw(st.booleans()):
                running = Running(**of(attempt), installed=draw(st.booleans()), install_s=2.0)
                running_at = running.at
                events.append(running)
        if last and draw(st.booleans()):
            break
        if draw(st.integers(0, 4)) == 0:
            events.append(Cancelling(**of(attempt), by="me", reason="why not"))
        result = Attempt(
            number=attempt,
            agent=f"lab-{takeovers}",
            slot="s0",
            started_at=at - 1,
            running_at=running_at,
            finished_at=at + 1,
            outcome=draw(st.sampled_from(_ENDS)) if last else "failed",
            takeovers=takeovers,
        )
        assert result.outcome is not None
        events.append(
            Ended(
                **of(attempt),
                nonce=f"e{attempt}",
                state=result.outcome,
                result=result,
                final=last,
                app_version_id="v1",
            )
        )
        if not last:
            events.append(
                Retrying(
                    **of(attempt),
                    next_attempt=attempt + 1,
                    charged=True,
                    not_before=draw(st.sampled_from([None, 6000.0])),
                )
            )
    return events


@st.composite
def histories(draw: Draw) -> list[Seen]:
    """The events of a few jobs, each job's in its order, with their places in the stream."""
    queues = [_history(draw, number) for number in range(draw(st.integers(1, 3)))]
    merged: list[Seen] = []
    while any(queues):
        queue = draw(st.sampled_from([q for q in queues if q]))
        merged.append((len(merged) + 1, queue.pop(0)))
    return merged
