"""Submit a run: ids, jobs, digest; storing it is `publish_run`'s duty."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from bus_schemas.jobs import JobSpec
from bus_schemas.requests import JobState, JobView
from qgjob.bus.connect import Bus
from qgjob.client.checks import checked_id, usage_error
from qgjob.client.ids import derived_id, new_ids
from qgjob.client.models import SubmitRequest, Submitted
from qgjob.client.publish_run import PlannedRun, publish_run
from qgjob.clock import Clock
from qgjob.domain.lifecycle import waiting_state
from qgjob.errors import NoTestsError, RefusedError

MAX_JOBS: Final = 100_000
"""Jobs of one run; more are a mistake more often than a wish."""


async def submit(bus: Bus, request: SubmitRequest, *, clock: Clock) -> Submitted:
    """See `Client.submit`."""
    now = clock.now()
    specs = make_specs(request, now)
    try:
        run = PlannedRun(
            run_id=specs[0].run_id,
            org_id=request.org_id,
            specs=specs,
            digest=digest_of(specs),
            name=request.name,
            meta=dict(request.meta),
            created_at=now,
            not_before=request.not_before,
        )
        accepted_before = await publish_run(bus, run, clock=clock)
    except ValidationError as error:
        raise usage_error("The submit", error) from None
    state = waiting_state(request.not_before, now)
    jobs = tuple(view_of(spec, state) for spec in specs)
    return Submitted(run.run_id, jobs, accepted_before=accepted_before)


def make_specs(request: SubmitRequest, now: float) -> list[JobSpec]:
    """The jobs of a request; raises `UsageError`, `NoTestsError` or `RefusedError` (too many)."""
    checked_id("The organisation id", request.org_id)
    checked_id("The app version id", request.app_version_id)
    plan = _plan(request)
    count = len(plan)
    if not count:
        raise NoTestsError("A run needs at least one test.")
    if count > MAX_JOBS:
        raise RefusedError(f"A run of {count} jobs is too large: at most {MAX_JOBS} are taken at once.")
    if request.run_key is not None:
        checked_id("The run key", request.run_key)
        run_id = derived_id("run", request.org_id, request.run_key)
        job_ids = [derived_id("job", request.org_id, request.run_key, place) for place in range(count)]
    else:
        (run_id,) = new_ids("run", 1, now)
        job_ids = new_ids("job", count, now)
    requires = {*request.requires, *([request.target] if request.target else [])}
    shared: dict[str, Any] = {
        "run_id": run_id,
        "org_id": request.org_id,
        "app_version_id": request.app_version_id,
        "app_id": request.app_id,
        "platform": request.platform,
        "priority": request.priority,
        "target": request.target,
        "runner": request.runner,
        "argv": tuple(request.argv),
        "env": dict(request.env),
        "bundle": request.bundle,
        "timeout_s": request.timeout_s,
        "retries": request.retries,
        "infra_retries": request.infra_retries,
        "expires_s": request.expires_s,
        "silence_timeout_s": request.silence_timeout_s,
        "secrets": tuple(dict.fromkeys(request.secrets)),
        "max_parallel": request.max_parallel,
        "created_at": now,
    }
    try:
        return [
            JobSpec(
                job_id=job_id,
                test=job.test,
                variant=job.variant,
                requires=tuple(sorted(requires | job.labels)),
                position=position,
                **shared,
            )
            for position, (job_id, job) in enumerate(zip(job_ids, plan, strict=True))
        ]
    except ValidationError as error:
        raise usage_error("The submit", error) from None


class _Planned(NamedTuple):
    """A job to be made: a test, on one label of the matrix, for one of its repetitions."""

    test: str
    labels: frozenset[str]
    variant: str | None


def _plan(request: SubmitRequest) -> list[_Planned]:
    if len(request.tests) * max(1, len(request.matrix)) * request.repeat > MAX_JOBS:
        raise RefusedError(
            f"{len(request.tests)} tests, {max(1, len(request.matrix))} labels of the matrix and "
            f"{request.repeat} repetitions make more than the {MAX_JOBS} jobs that are taken at once."
        )
    return [
        _Planned(test, frozenset({label} if label else ()), _variant(label, number, request.repeat))
        for test in request.tests
        for label in request.matrix or (None,)
        for number in range(1, request.repeat + 1)
    ]


def _variant(label: str | None, number: int, repeat: int) -> str | None:
    parts = [*([label] if label else []), *([f"#{number}"] if repeat > 1 else [])]
    return " ".join(parts) or None


def digest_of(specs: list[JobSpec]) -> str:
    """SHA-256 over what the jobs are.

    Without ids and times, and without the bundle: a repeated CI step finds its own reports and
    caches beside the tests, and is the same step nevertheless.
    """
    first = specs[0].model_dump(mode="json", exclude=_NOT_IN_DIGEST)
    body: dict[str, Any] = {"shared": first, "tests": [spec.test for spec in specs]}
    if specs[0].variant is not None:
        body["variants"] = [[spec.variant, *spec.requires] for spec in specs]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


_NOT_IN_DIGEST: Final = {"job_id", "run_id", "test", "variant", "position", "bundle", "created_at"}


def view_of(spec: JobSpec, state: JobState = "queued") -> JobView:
    """A job as it is right after its submit."""
    return JobView(
        job_id=spec.job_id,
        run_id=spec.run_id,
        org_id=spec.org_id,
        app_version_id=spec.app_version_id,
        test=spec.test,
        variant=spec.variant,
        position=spec.position,
        state=state,
        priority=spec.priority,
        target=spec.target,
        requires=spec.requires,
        runner=spec.runner,
        created_at=spec.created_at,
    )
