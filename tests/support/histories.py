"""Made-up histories of jobs as they may stand in the stream of events, for tests of whoever reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from bus_schemas.events import (
    EVENT_KINDS,
    AnyEvent,
    Attempt,
    Cancelling,
    Ended,
    EndState,
    Preparing,
    Progress,
    Queued,
    Released,
    Retrying,
    Running,
    Started,
    TakenOver,
    subject_of,
)
from bus_schemas.jobs import JobSpec
from qgjob.store.projection import StoredEvent

BEGIN = 4_000_000_000.0
"""When it all happens: ahead of the clock of any store, which would forget what is a day old."""


class Ids(NamedTuple):
    """Whose event it is."""

    org_id: str = "acme"
    run_id: str = "r_1"
    job_id: str = "j_1"
    version: str = "v1.0.0"


def spec_of(ids: Ids, *, position: int = 0, priority: int = 5) -> JobSpec:
    return JobSpec(
        job_id=ids.job_id,
        run_id=ids.run_id,
        org_id=ids.org_id,
        app_version_id=ids.version,
        test=f"tests/test_{ids.job_id}.py",
        position=position,
        priority=priority,
        requires=("emulator",),
        target="emulator",
        created_at=BEGIN,
    )


def said(ids: Ids, attempt: int = 1) -> dict[str, Any]:
    """What every event says."""
    return {
        "org_id": ids.org_id,
        "run_id": ids.run_id,
        "job_id": ids.job_id,
        "attempt": attempt,
        "at": BEGIN + 1,
    }


def queued(
    ids: Ids,
    *,
    position: int = 0,
    priority: int = 5,
    size: int = 1,
    not_before: float | None = None,
    meta: dict[str, str] | None = None,
) -> Queued:
    return Queued(
        **said(ids),
        spec=spec_of(ids, position=position, priority=priority),
        run_size=size,
        run_name="nightly",
        run_meta=meta or {},
        not_before=not_before,
    )


def started(ids: Ids, attempt: int = 1, *, phase: str = "running", takeovers: int = 0) -> Started:
    kind = TakenOver if takeovers else Started
    return kind.model_validate(
        {
            **said(ids, attempt),
            "nonce": "n",
            "agent": f"lab-{takeovers}",
            "slot": "s1",
            "app_version_id": ids.version,
            "phase": phase,
            "takeovers": takeovers,
        }
    )


def ended(
    ids: Ids, attempt: int = 1, state: EndState = "passed", *, final: bool = True, begun: bool = True
) -> Ended:
    result = Attempt(
        number=attempt,
        agent="lab-0" if begun else None,
        slot="s1" if begun else None,
        started_at=BEGIN + 2 if begun else None,
        finished_at=BEGIN + 3,
        outcome=state,
        reason=None if state == "passed" else "exit_code",
        exit_code=0 if state == "passed" else 1,
    )
    return Ended(
        **said(ids, attempt), nonce="n", state=state, result=result, final=final, app_version_id=ids.version
    )


def lifetime(ids: Ids, *, position: int = 0, size: int = 1, state: EndState = "passed") -> list[AnyEvent]:
    """The usual life of a job."""
    return [
        queued(ids, position=position, size=size),
        Released(**said(ids), group="g"),
        started(ids),
        ended(ids, state=state),
    ]


@st.composite
def lives(draw: st.DrawFn, ids: Ids, *, position: int, size: int) -> list[AnyEvent]:
    """Some life of a job, maybe not at its end yet."""
    delayed = draw(st.booleans())
    first = queued(
        ids,
        position=position,
        size=size,
        priority=draw(st.integers(1, 10)),
        not_before=BEGIN + draw(st.sampled_from([-50.0, 5.0, 1e6])) if delayed else None,
    )
    events: list[AnyEvent] = [first]
    if draw(st.integers(0, 9)) == 0:
        events += [ended(ids, state=draw(st.sampled_from(["cancelled", "expired"])), begun=False)]
        return events
    attempts = draw(st.integers(1, 3))
    for attempt in range(1, attempts + 1):
        if attempt > 1:
            events.append(ended(ids, attempt - 1, draw(_FAILED), final=False))
            late = [Progress(**said(ids, attempt - 1), message="late")] if draw(st.booleans()) else []
            retry = Retrying(
                **said(ids, attempt - 1),
                next_attempt=attempt,
                charged=True,
                not_before=draw(st.sampled_from([None, BEGIN + 1e6])),
            )
            events += [*late, retry]
        events += draw(_attempt(ids, attempt))
        if attempt == 1 and draw(st.integers(0, 4)) == 0:
            events.insert(draw(st.integers(1, len(events))), events.pop(0))  # announced late
    if draw(st.booleans()):
        events.append(
            ended(ids, attempts, draw(st.sampled_from(["passed", "failed", "errored", "cancelled"])))
        )
        if draw(st.booleans()):
            events.append(Running(**said(ids, attempts), installed=True, install_s=1.0))
    return events[: draw(st.integers(1, len(events)))] if draw(st.booleans()) else events


_FAILED: st.SearchStrategy[EndState] = st.sampled_from(["failed", "errored", "timed_out"])


@st.composite
def _attempt(draw: st.DrawFn, ids: Ids, number: int) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    if draw(st.booleans()):
        events.append(Released(**said(ids, number), group="g", because="it is next"))
    phase = draw(st.sampled_from(["preparing", "running"]))
    events.append(started(ids, number, phase=phase))
    if phase == "preparing" and draw(st.booleans()):
        events.append(Preparing(**said(ids, number), step="install", message="installing"))
    if draw(st.booleans()):
        events.append(Running(**said(ids, number), installed=True, install_s=2.5))
    if draw(st.booleans()):
        events.append(Progress(**said(ids, number), message="half way"))
    if draw(st.booleans()):
        phase = draw(st.sampled_from(["preparing", "running"]))
        events.append(started(ids, number, phase=phase, takeovers=1))
    if draw(st.integers(0, 5)) == 0:
        events.append(Cancelling(**said(ids, number), by="somebody", reason="not needed"))
    return events


@st.composite
def streams(draw: st.DrawFn, *, jobs: int = 5) -> list[StoredEvent]:
    """Histories of several jobs of two runs, mixed, with places and times as a stream gives them."""
    count = draw(st.integers(1, jobs))
    rest: list[list[AnyEvent]] = [
        draw(
            lives(
                Ids("acme", f"r_{n % 2}", f"j_{n}", f"v{n % 3}"),
                position=n // 2,
                size=(count + 1 - n % 2) // 2,
            )
        )
        for n in range(count)
    ]
    stream: list[StoredEvent] = []
    seq = 0
    while rest:
        number = draw(st.integers(0, len(rest) - 1))
        seq += draw(st.integers(1, 3))
        stream.append(StoredEvent(rest[number].pop(0), seq, BEGIN + seq / 10))
        rest = [life for life in rest if life]
    return stream


def rolled_up(stream: Sequence[StoredEvent]) -> list[StoredEvent]:
    """What is left of a stream once each end has replaced its chain."""
    ends = {subject_of(e.event): e.seq for e in stream if isinstance(e.event, Ended)}
    return [
        e for e in stream if EVENT_KINDS[e.event.kind].lane != "state" or e.seq >= ends.get(subject_of(e.event), 0)
    ]  # fmt: skip
