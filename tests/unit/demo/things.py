"""A small plan, and its jobs' events as the bus brings them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus_schemas.events import AnyEvent, Attempt, Ended, EndState, Released, Running, Started
from bus_schemas.queries import JobView
from qgjob.client.models import LiveEvent, SubmitRequest, Submitted
from qgjob.client.submitting.submit import make_specs, view_of
from qgjob.demo.plan import Plan, Push
from qgjob.demo.record import Record

BROKEN = ("v2", "tests/b.py")


def small_plan(tests: int = 2) -> Plan:
    """Tests a.py, b.py, … of each of two builds, between each other; of the second b.py is to fail."""
    names = [f"tests/{chr(ord('a') + number)}.py" for number in range(tests)]
    pushes = tuple(Push(version, "some", (name,), 5) for name in names for version in ("v1", "v2"))
    return Plan(root=Path("/nowhere"), versions=("v1", "v2"), pushes=pushes, broken=frozenset({BROKEN}))


@dataclass
class World:
    """Submits the plan and lets its jobs go their way, every step at the time it is told."""

    plan: Plan = field(default_factory=small_plan)
    seq: int = 0

    def __post_init__(self) -> None:
        self.record = Record(self.plan.jobs)
        for number, push in enumerate(self.plan.pushes):
            request = SubmitRequest(org_id="o", app_version_id=push.version, tests=push.tests, priority=5)
            specs = make_specs(request, 100.0 + number)
            submitted = Submitted(specs[0].run_id, tuple(view_of(spec) for spec in specs))
            self.record.on_submitted(push, submitted)

    @property
    def jobs(self) -> list[JobView]:
        return self.record.jobs

    def happen(self, event: AnyEvent) -> LiveEvent:
        self.seq += 1
        live = LiveEvent(event, self.seq)
        self.record.on_event(live)
        return live

    def start(self, job: JobView, slot: str, at: float, *, preparing: bool = True) -> None:
        self.happen(Released(**_of(job, at), group="g"))
        self.happen(
            Started(
                **_of(job, at),
                nonce="n",
                agent="l",
                slot=slot,
                app_version_id=job.app_version_id,
                phase="preparing" if preparing else "running",
            )
        )

    def run(self, job: JobView, at: float, *, install_s: float | None = None) -> None:
        self.happen(Running(**_of(job, at), installed=install_s is not None, install_s=install_s))

    def end(
        self,
        job: JobView,
        slot: str,
        began: float,
        at: float,
        state: EndState,
        install_s: float | None = None,
    ) -> LiveEvent:
        result = Attempt(
            number=1,
            agent="l",
            slot=slot,
            started_at=began,
            running_at=began + (install_s or 0.0),
            finished_at=at,
            outcome=state,
            installed=install_s is not None,
            install_s=install_s,
        )
        return self.happen(
            Ended(**_of(job, at), nonce="n", state=state, result=result, app_version_id=job.app_version_id)
        )

    def end_all(self, *, install_always: bool = False, **states: EndState) -> None:
        """Each build on a slot of its own, 2 s a test, an install of 1 s before the first of a build.

        The broken test fails and all others pass, but for those in `states`: `v1_a="errored"`.
        """
        free = {"v1": 101.0, "v2": 101.0}
        for job in self.jobs:
            version, name = job.app_version_id, job.test.removeprefix("tests/").removesuffix(".py")
            meant: EndState = "failed" if (version, job.test) == BROKEN else "passed"
            install_s = 1.0 if install_always or free[version] == 101.0 else None
            ends = free[version] + 2.0 + (install_s or 0.0)
            state = states.get(f"{version}_{name}", meant)
            self.end(job, f"s-{version}", free[version], ends, state, install_s)
            free[version] = ends


def _of(job: JobView, at: float) -> dict[str, Any]:
    return {"org_id": "o", "run_id": job.run_id, "job_id": job.job_id, "attempt": 1, "at": at}
