"""Jobs: submit, look up, list, read the output, cancel."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response, StreamingResponse

from bus_schemas.base import MAX_COUNT
from bus_schemas.jobs import BlobRef
from bus_schemas.logs import StoredChunk
from bus_schemas.queries import JobState, JobView
from qgjob.client import Client
from qgjob.client.models import SubmitRequest, Submitted
from qgjob.client.shapes import job_json, run_json, submitted_json
from qgjob.client.submitting.submit import jobs_of
from qgjob.errors import UnreachableError
from qgjob.gateway.answers import ClientOf, KnownRoute, NamedId, ServedOf, document
from qgjob.gateway.bodies import CancelBody, SubmitBody
from qgjob.gateway.gates import Gates
from qgjob.gateway.problems import described

router = APIRouter(prefix="/api/jobs", tags=["jobs"], route_class=KnownRoute)


@router.post("/submit", status_code=202, summary="Submit tests as one run", responses=described(409, 413))
async def submit(body: SubmitBody, served: ServedOf) -> Response:
    """Store a run, one job for each test: all of it or nothing. Answers with its ids."""
    storing = _submit(body, served.client, served.gates)
    return document(submitted_json(await served.patience.stored(storing)), 202)


async def _submit(body: SubmitBody, client: Client, gates: Gates) -> Submitted:
    bundle: BlobRef | None = None
    if body.bundle is not None:
        bundle = await client.stored_bundle(body.bundle)
        if bundle is None:
            wrong = "no bundle is stored under this digest: store it with POST /api/bundles first"
            raise RequestValidationError([{"type": "value_error", "loc": ("body", "bundle"), "msg": wrong}])
    request = SubmitRequest(
        org_id=body.org_id,
        app_version_id=body.app_version_id,
        tests=body.all_tests,
        bundle=bundle,
        priority=body.priority,
        target=body.target,
        requires=body.requires,
        runner=body.runner,
        argv=body.argv,
        env=body.env,
        timeout_s=body.timeout,
        silence_timeout_s=body.silence_timeout,
        secrets=body.secrets,
        retries=body.retries,
        expires_s=body.expires,
        not_before=None if body.at is None else body.at.timestamp(),
        matrix=body.matrix,
        repeat=body.repeat,
        shards=body.shards,
        max_parallel=body.max_parallel,
        app_id=body.app_id,
        platform=body.platform,
        name=body.name,
        meta=body.meta,
        run_key=body.run_key,
        concurrency_key=body.concurrency_key,
    )
    with gates.jobs.admitted(body.org_id, jobs_of(request)) as charge:
        submitted = await client.submit(request)
        if submitted.accepted_before:
            charge.cancel()
    return submitted


@router.get("/queue/status", tags=["lab"], summary="Queues and groups at a glance")
async def queue_status(client: ClientOf) -> Response:
    """What waits, by priority and by group, and who leads."""
    from qgjob.client.shapes import overview_json

    return document(overview_json(await client.overview()))


@router.get("", summary="List jobs, newest first")
async def list_jobs(
    client: ClientOf,
    state: JobState | None = None,
    org_id: NamedId = None,
    app_version_id: NamedId = None,
    run_id: NamedId = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=MAX_COUNT)] = 0,
) -> Response:
    """Jobs that match all that is given."""
    found = await client.jobs(
        state=state,
        org_id=org_id,
        app_version_id=app_version_id,
        run_id=run_id,
        limit=limit,
        offset=offset,
    )
    return document({"jobs": [job_json(job) for job in found]})


@router.get("/{id}", summary="A job, or a run with its jobs", responses=described(404))
async def get(id: str, client: ClientOf) -> Response:  # noqa: A002 - the contract's name
    """A job (`j_…`) with its attempts, or a run (`r_…`) with its counts and jobs."""
    found = await client.get(id)
    return document(job_json(found) if isinstance(found, JobView) else run_json(found))


@router.get("/{id}/logs", summary="The output of a job", response_class=Response, responses=described(404))
async def logs(
    id: str,  # noqa: A002 - the contract's name
    served: ServedOf,
    follow: bool = False,
    tail: Annotated[int | None, Query(ge=1, le=10_000)] = None,
) -> Response:
    """The output as plain text, or its last lines, as many as `tail` says.

    With `follow=true` it goes on until the job has ended.
    """
    await served.patience.server(otherwise="nothing was read")
    chunks = served.client.logs(id, follow=follow, tail=tail)
    # The first chunk is read before the answer begins: an unknown id is still a 404 then.
    first = await anext(chunks, None)
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return StreamingResponse(_text(first, chunks), 200, headers, "text/plain; charset=utf-8")


@router.post("/{id}/cancel", summary="Cancel a job, or what is left of a run", responses=described(404))
async def cancel(id: str, client: ClientOf, body: CancelBody | None = None) -> Response:  # noqa: A002 - the contract's name
    """Answers with the jobs that were cancelled, and those that had ended before."""
    try:
        answer = await client.cancel(id, reason=body.reason if body else None, by="http")
    except UnreachableError as error:
        hint = " ".join(filter(None, ("A cancel may be sent again.", error.hint)))
        raise UnreachableError(error.message, hint=hint) from None
    return document({"affected": list(answer.affected), "already": list(answer.already)})


async def _text(first: StoredChunk | None, rest: AsyncGenerator[StoredChunk]) -> AsyncGenerator[str]:
    try:
        if first is not None:
            yield _plain(first)
        async for chunk in rest:
            yield _plain(chunk)
    finally:
        await rest.aclose()


def _plain(chunk: StoredChunk) -> str:
    dropped = f"[{chunk.dropped} bytes left out]\n" if chunk.dropped else ""
    return dropped + "".join(text for _, text in chunk.parts)
