"""Slots and builds that are held back, why a job waits, how long things took; the leader answers."""

from __future__ import annotations

from typing import TypeVar

from bus_schemas import subjects
from bus_schemas.base import Message
from bus_schemas.control import CtlAnswer
from bus_schemas.explain import ExplainAnswer, ExplainRequest
from bus_schemas.lab import BuildResumeRequest, HoldVerb, SlotsAnswer, SlotsRequest
from bus_schemas.timings import TimingsAnswer, TimingsRequest
from qgjob.bus.connect import Bus
from qgjob.client.checks import checked_made
from qgjob.client.ids import checked_any_id, kind_of
from qgjob.client.requests.control import whoami
from qgjob.client.requests.query import run_in_short
from qgjob.client.requests.request import ask
from qgjob.errors import NotFoundError

A = TypeVar("A", SlotsAnswer, ExplainAnswer, CtlAnswer, TimingsAnswer)


async def hold(
    bus: Bus,
    verb: HoldVerb,
    name: str,
    *,
    note: str | None = None,
    for_s: float | None = None,
    by: str | None = None,
) -> SlotsAnswer:
    """See `Client.hold`."""
    request = checked_made(
        f"The request to {verb}",
        SlotsRequest,
        verb=verb,
        name=name,
        note=note,
        for_s=for_s,
        by=by or whoami(),
    )
    return await _ask(bus, "slots", None, request, SlotsAnswer)


async def resume_build(bus: Bus, org_id: str, app_version_id: str, *, by: str | None = None) -> None:
    """See `Client.resume_build`."""
    request = checked_made(
        "The build to resume",
        BuildResumeRequest,
        org_id=org_id,
        app_version_id=app_version_id,
        by=by or whoami(),
    )
    await _ask(bus, "build_resume", org_id, request, CtlAnswer)


async def explain(bus: Bus, any_id: str) -> ExplainAnswer:
    """See `Client.explain`."""
    checked_any_id(any_id)
    try:
        return await _ask(bus, "explain", None, ExplainRequest(job_id=any_id), ExplainAnswer)
    except NotFoundError:
        if kind_of(any_id) != "run":
            raise
    # None of its jobs waits, or the scheduler is of a former release.
    run = await run_in_short(bus, any_id)
    if not run.jobs:
        raise NotFoundError(f"Nothing is known yet of the jobs of {any_id}.", hint="Try again in a moment.")
    return await _ask(bus, "explain", None, ExplainRequest(job_id=run.jobs[0].job_id), ExplainAnswer)


async def timings(bus: Bus) -> TimingsAnswer:
    """See `Client.timings`."""
    return await _ask(bus, "timings", None, TimingsRequest(), TimingsAnswer)


async def _ask(bus: Bus, verb: str, org_id: str | None, request: Message, answer: type[A]) -> A:
    return await ask(bus, subjects.ctl(verb, org_id), request, answer)
