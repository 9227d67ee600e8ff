"""Submit a run: ids, jobs, digest; storing it is `publish_run`'s duty."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from bus_schemas.jobs import MAX_REQUIRED, MAX_SHARD_FILES, JobSpec
from bus_schemas.queries import JobState, JobView
from qgjob.bus.connect import Bus
from qgjob.client.checks import checked_id, checked_test, usage_error
from qgjob.client.ids import derived_id, new_ids
from qgjob.client.models import SubmitRequest, Submitted
from qgjob.client.requests import query
from qgjob.client.submitting import builds
from qgjob.client.submitting.publish_run import PlannedRun, publish_run, was_stored
from qgjob.clock import Clock
from qgjob.domain.lifecycle import waiting_state
from qgjob.domain.sharding import balance_shards
from qgjob.errors import NoTestsError, NotFoundError, QgjobError, RefusedError, UnreachableError, UsageError

log = logging.getLogger(__name__)

MAX_JOBS: Final = 100_000
"""Jobs of one run; more are a mistake more often than a wish."""
_BUILD_WITHIN_S: Final = 2.0
MAX_SHARDS: Final = 400
"""All of them fit into one batch, so that a repeated submit never mixes two ways of dealing out."""


async def submit(
    bus: Bus, request: SubmitRequest, *, clock: Clock, on_run_id: Callable[[str], None] | None = None
) -> Submitted:
    """See `Client.submit`."""
    now = clock.now()
    specs = make_specs(request, now, await expected_durations(bus, request))
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
            fresh=request.run_key is None,
        )
        last_start = max(now, request.not_before or now) + request.expires_s
        try:
            await check_build(bus, request, now=now, until=last_start)
        except NotFoundError:
            if not await was_stored(bus, run):
                raise
        if on_run_id is not None:
            on_run_id(run.run_id)
        accepted_before = await publish_run(bus, run, clock=clock)
    except ValidationError as error:
        raise usage_error("The submit", error) from None
    state = waiting_state(request.not_before, now)
    jobs = tuple(view_of(spec, state) for spec in specs)
    return Submitted(run.run_id, jobs, accepted_before=accepted_before)


async def check_build(bus: Bus, request: SubmitRequest, *, now: float, until: float) -> None:
    """Raise `NotFoundError` when the build is not kept that long: jobs would end as `build_missing`."""
    try:
        async with asyncio.timeout(_BUILD_WITHIN_S):
            for labels in request.label_sets:
                await builds.check_kept(
                    bus,
                    request.org_id,
                    request.app_version_id,
                    request.platform,
                    labels,
                    now=now,
                    until=until,
                )
    except NotFoundError:
        raise
    except (QgjobError, TimeoutError) as error:
        # Not every submit may read builds, and none fails for that: then the agent will say it.
        log.info("whether the build is stored is not known: %s", error)


async def expected_durations(bus: Bus, request: SubmitRequest) -> dict[str, float]:
    """Expected seconds of the tests, where shards are to be balanced by them and they are known."""
    if not request.shards:
        return {}
    try:
        return await query.durations(bus, request.org_id, request.tests)
    except UnreachableError as error:
        # A submit needs no scheduler: then the files are dealt out evenly.
        log.info("the shards are balanced without durations: %s", error)
        return {}


def make_specs(
    request: SubmitRequest, now: float, durations: Mapping[str, float] | None = None
) -> list[JobSpec]:
    """The jobs of a request; raises `UsageError`, `NoTestsError` or `RefusedError` (too many).

    `durations`: expected seconds of its tests, by which shards are balanced.
    """
    checked_id("The organisation id", request.org_id)
    checked_id("The app version id", request.app_version_id)
    if request.concurrency_key is not None:
        checked_id("The concurrency key", request.concurrency_key)
    for test in request.tests:
        checked_test(test)
    requires = {*request.requires, *([request.target] if request.target else [])}
    plan = _plan(request, durations or {})
    most = max((len(requires | job.labels) for job in plan), default=0)
    if most > MAX_REQUIRED:
        raise UsageError(f"A job may require at most {MAX_REQUIRED} labels, not {most}.")
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
        "concurrency_key": request.concurrency_key,
        "created_at": now,
    }
    try:
        return [
            JobSpec(
                job_id=job_id,
                test=job.test,
                tests=job.tests,
                variant=job.variant,
                requires=tuple(sorted(requires | job.labels)),
                position=position,
                **shared,
            )
            for position, (job_id, job) in enumerate(zip(job_ids, plan, strict=True))
        ]
    except ValidationError as error:
        raise usage_error("The submit", error) from None


def jobs_of(request: SubmitRequest) -> int:
    """How many jobs a request makes."""
    files = len(request.tests) if request.shards is None else min(request.shards, len(set(request.tests)))
    return files * max(1, len(request.matrix)) * request.repeat


class _Planned(NamedTuple):
    """A job to be made: a test, on one label of the matrix, for one of its repetitions."""

    test: str
    tests: tuple[str, ...]
    """The files of a shard."""
    labels: frozenset[str]
    variant: str | None


def _plan(request: SubmitRequest, durations: Mapping[str, float]) -> list[_Planned]:
    if request.shards is not None and not 1 <= request.shards <= MAX_SHARDS:
        raise UsageError(f"A run has 1 to {MAX_SHARDS} shards, not {request.shards}.")
    if len(request.tests) * max(1, len(request.matrix)) * request.repeat > MAX_JOBS:
        raise RefusedError(
            f"{len(request.tests)} tests, {max(1, len(request.matrix))} labels of the matrix and "
            f"{request.repeat} repetitions make more than the {MAX_JOBS} jobs that are taken at once."
        )
    return [
        _Planned(test, files, frozenset({label} if label else ()), _variant(label, number, request.repeat))
        for test, files in _tests(request, durations)
        for label in request.matrix or (None,)
        for number in range(1, request.repeat + 1)
    ]


def _tests(request: SubmitRequest, durations: Mapping[str, float]) -> list[tuple[str, tuple[str, ...]]]:
    """The tests that make a job each: (test, ()), or for a shard (its name, its files)."""
    if request.shards is None:
        return [(test, ()) for test in request.tests]
    shards = balance_shards(list(dict.fromkeys(request.tests)), durations, request.shards)
    if any(len(files) > MAX_SHARD_FILES for files in shards):
        raise RefusedError(
            f"{len(request.tests)} tests in {request.shards} shards are too many for each: "
            f"at most {MAX_SHARD_FILES}."
        )
    _checked_for_command(request, shards)
    return [(f"shard {number} of {len(shards)}", tuple(files)) for number, files in enumerate(shards, 1)]


def _checked_for_command(request: SubmitRequest, shards: Sequence[Sequence[str]]) -> None:
    """Refuse shards that would end as `not_runnable`; which runner `auto` finds is certain of `.sh` alone."""
    several = [file for files in shards if len(files) > 1 for file in files]
    surely = request.runner == "command" or (
        request.runner == "auto" and any(file.endswith(".sh") for file in several)
    )
    if several and surely and "{test}" not in request.argv:
        raise UsageError(
            "A shard has several files, and a command takes one.",
            hint="With {test} as a word of its own behind -- (over HTTP in argv) it gets them all.",
        )


def _variant(label: str | None, number: int, repeat: int) -> str | None:
    parts = [*([label] if label else []), *([f"#{number}"] if repeat > 1 else [])]
    return " ".join(parts) or None


def digest_of(specs: list[JobSpec]) -> str:
    """SHA-256 over the content of the jobs, which tells a repeated submit from another one.

    Without ids and times, and without the bundle: a repeated CI step finds its own reports and
    caches beside the tests, and is the same step nevertheless.
    """
    first = specs[0].model_dump(mode="json", exclude=_NOT_IN_DIGEST)
    body: dict[str, Any] = {"shared": first, "tests": [spec.test for spec in specs]}
    if specs[0].concurrency_key is not None:
        body["concurrency_key"] = specs[0].concurrency_key
    if specs[0].tests:  # durations learned meanwhile may balance shards differently
        body["files"] = sorted({file for spec in specs for file in spec.tests})
    if specs[0].variant is not None:
        body["variants"] = [[spec.variant, *spec.requires] for spec in specs]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


_NOT_IN_DIGEST: Final = {
    "job_id",
    "run_id",
    "test",
    "tests",
    "variant",
    "position",
    "bundle",
    "concurrency_key",
    "created_at",
}


def view_of(spec: JobSpec, state: JobState = "queued") -> JobView:
    """A job as it is right after its submit."""
    return JobView(
        job_id=spec.job_id,
        run_id=spec.run_id,
        org_id=spec.org_id,
        app_version_id=spec.app_version_id,
        test=spec.test,
        tests=spec.tests,
        variant=spec.variant,
        position=spec.position,
        state=state,
        priority=spec.priority,
        target=spec.target,
        requires=spec.requires,
        runner=spec.runner,
        created_at=spec.created_at,
    )
