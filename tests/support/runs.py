"""Runs of jobs that are submitted without a bundle, for tests and benchmarks."""

from __future__ import annotations

import time

from bus_schemas import streams, subjects
from bus_schemas.jobs import BlobRef, JobMessage, JobSpec, RunMarker, priority_class
from qgjob.bus.connect import Bus
from qgjob.bus.kv import get_last
from qgjob.bus.publish import OutMsg, expect, publish_batch
from qgjob.client.ids import new_ids
from qgjob.client.submitting.publish_run import PlannedRun, publish_run
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
    org: str = "bench",
    concurrency_key: str | None = None,
) -> PlannedRun:
    """A run of jobs, without a bundle unless one is given."""
    now = time.time()
    run_id = new_ids("run", 1, now)[0]
    specs = [
        JobSpec(
            job_id=job_id,
            run_id=run_id,
            org_id=org,
            app_version_id=app,
            test=test.format(position),
            position=position,
            runner=runner,
            argv=argv,
            bundle=bundle,
            requires=requires,
            concurrency_key=concurrency_key,
            created_at=now,
        )
        for position, job_id in enumerate(new_ids("job", count, now))
    ]
    return as_run(specs)


def as_run(specs: list[JobSpec]) -> PlannedRun:
    """The run of these jobs, which have its id and organisation."""
    run_id, now = specs[0].run_id, specs[0].created_at
    return PlannedRun(
        run_id=run_id,
        org_id=specs[0].org_id,
        specs=specs,
        digest=run_id.encode().hex().zfill(64)[-64:],
        name=None,
        meta={},
        created_at=now,
    )


async def submit(bus: Bus, run: PlannedRun) -> None:
    """Publish a run as the client does."""
    await publish_run(bus, run, clock=SystemClock())


async def part_of(bus: Bus, run: PlannedRun, part: int, *, parts: int) -> None:
    """Publish one part of a run, as a client does that sends it in so many batches."""
    size = -(-len(run.specs) // parts)
    state, marker = "complete" if part == parts - 1 else "open", subjects.run_marker(run.org_id, run.run_id)
    before = await get_last(bus, streams.JOBS, marker)
    body = RunMarker.model_validate(
        {
            "run_id": run.run_id,
            "org_id": run.org_id,
            "state": state,
            "size": len(run.specs),
            "parts": parts,
            "digest": run.digest,
            "created_at": run.created_at,
        }
    )
    messages = [OutMsg(marker, body.encode(), expect(before.seq if before else 0))]
    for spec in run.specs[part * size : (part + 1) * size]:
        subject = subjects.job(priority_class(spec.priority), spec.org_id, spec.job_id)
        message = JobMessage(spec=spec, part=part, parts=parts, not_before=run.not_before)
        messages.append(OutMsg(subject, message.encode(), expect(0)))
    await publish_batch(bus, messages)
