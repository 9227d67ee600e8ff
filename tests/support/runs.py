"""Runs of jobs that are submitted without a bundle, for tests and benchmarks."""

from __future__ import annotations

import time

from bus_schemas.jobs import BlobRef, JobSpec
from qgjob.bus.connect import Bus
from qgjob.client.ids import new_ids
from qgjob.client.publish_run import PlannedRun, publish_run
from qgjob.clock import SystemClock


def planned(
    count: int,
    *,
    runner: str,
    app: str = "v1",
    argv: tuple[str, ...] = (),
    test: str = "t{}.py",
    bundle: BlobRef | None = None,
    requires: tuple[str, ...] = (),
) -> PlannedRun:
    """A run of jobs, without a bundle unless one is given."""
    now = time.time()
    run_id = new_ids("run", 1, now)[0]
    specs = [
        JobSpec(
            job_id=job_id,
            run_id=run_id,
            org_id="bench",
            app_version_id=app,
            test=test.format(position),
            position=position,
            runner=runner,
            argv=argv,
            bundle=bundle,
            requires=requires,
            created_at=now,
        )
        for position, job_id in enumerate(new_ids("job", count, now))
    ]
    return as_run(specs)


def as_run(specs: list[JobSpec]) -> PlannedRun:
    """The run of these jobs, which have its id."""
    run_id, now = specs[0].run_id, specs[0].created_at
    return PlannedRun(
        run_id=run_id,
        org_id="bench",
        specs=specs,
        digest=run_id.encode().hex().zfill(64)[-64:],
        name=None,
        meta={},
        created_at=now,
    )


async def submit(bus: Bus, run: PlannedRun) -> None:
    """Publish a run as the client does."""
    await publish_run(bus, run, clock=SystemClock())
