"""Jobs, attempts and events as tests need them: only what matters is given."""

from __future__ import annotations

from typing import Any

from bus_schemas.agents import Heartbeat, SlotStatus
from bus_schemas.events import Attempt, Ended, EndState, Queued, Started
from bus_schemas.jobs import JobSpec
from bus_schemas.queries import JobView
from qgjob.client.ids import new_ids

NOW = 1_700_000_000.0


def spec(**more: Any) -> JobSpec:
    values: dict[str, Any] = {
        "job_id": "j_1",
        "run_id": "r_1",
        "org_id": "acme",
        "app_version_id": "v1",
        "test": "tests/a.py",
        "created_at": NOW,
    }
    return JobSpec(**{**values, **more})


def view(**more: Any) -> JobView:
    values: dict[str, Any] = {
        "job_id": "j_1",
        "run_id": "r_1",
        "org_id": "acme",
        "app_version_id": "v1",
        "test": "tests/a.py",
        "state": "queued",
        "priority": 5,
        "runner": "auto",
        "created_at": NOW,
    }
    return JobView(**{**values, **more})


def event_ids(job: JobView, attempt: int = 1) -> dict[str, Any]:
    return {
        "org_id": job.org_id,
        "run_id": job.run_id,
        "job_id": job.job_id,
        "attempt": attempt,
        "at": NOW + attempt,
    }


def queued(job: JobView, *, run_size: int = 1) -> Queued:
    fixed = {"job_id", "run_id", "org_id", "app_version_id", "test", "position", "priority", "requires"}
    return Queued(**event_ids(job), spec=spec(**job.model_dump(include=fixed)), run_size=run_size)


def started(job: JobView, attempt: int = 1, **more: Any) -> Started:
    values: dict[str, Any] = {
        "nonce": "n",
        "agent": "a1",
        "slot": "s1",
        "app_version_id": job.app_version_id,
        "phase": "preparing",
    }
    return Started(**event_ids(job, attempt), **{**values, **more})


def ended(job: JobView, state: EndState, attempt: int = 1, *, final: bool = True, **more: Any) -> Ended:
    result = Attempt(
        number=attempt, agent="a1", slot="s1", started_at=NOW, finished_at=NOW + 2, outcome=state, **more
    )
    return Ended(
        **event_ids(job, attempt),
        nonce="n",
        state=state,
        result=result,
        final=final,
        app_version_id=job.app_version_id,
    )


def heartbeat(agent: str = "a1", *labels: tuple[str, ...], state: str = "up") -> Heartbeat:
    """An agent with one slot for each tuple of labels."""
    slots = tuple(
        SlotStatus(name=f"s{number}", driver="process", state="idle", labels=given)
        for number, given in enumerate(labels, 1)
    )
    return Heartbeat.model_validate(
        {
            "agent": agent,
            "host": "h",
            "pid": 1,
            "version": "1",
            "started_at": NOW,
            "at": NOW,
            "state": state,
            "slots": slots,
        }
    )


def make_run(count: int, **more: object) -> list[JobView]:
    """Jobs of a new run, with ids as the client makes them: `t0.py`, `t1.py`, …."""
    (run_id,) = new_ids("run", 1, NOW)
    ids = new_ids("job", count, NOW)
    return [view(job_id=j, run_id=run_id, position=n, test=f"t{n}.py", **more) for n, j in enumerate(ids)]
