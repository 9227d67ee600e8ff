"""Schedules: runs that the scheduler submits again and again."""

from __future__ import annotations

import contextlib
import re
import secrets
from typing import Final

from pydantic import ValidationError

from bus_schemas import subjects
from bus_schemas.crons import CronAnswer, CronDelete, CronList, CronPlan, CronView
from qgjob.bus.connect import Bus
from qgjob.client.checks import checked_made, usage_error
from qgjob.client.ids import derived_id
from qgjob.client.models import SubmitRequest
from qgjob.client.requests.control import TIMEOUT_S, whoami
from qgjob.client.requests.request import ask
from qgjob.client.submitting.submit import check_build, expected_durations, make_specs
from qgjob.clock import Clock
from qgjob.errors import NotFoundError, RefusedError

_FIELDS: Final = re.compile(r"\S+(?: \S+){4}")
_ROOM: Final = 64 * 1024


def expression_of(text: str) -> str:
    """A schedule in the server's form, which has a field for seconds: `0` before a crontab's five."""
    words = " ".join(text.split())
    return f"0 {words}" if _FIELDS.fullmatch(words) and not words.startswith("@") else words


async def add(
    bus: Bus,
    request: SubmitRequest,
    expression: str,
    zone: str | None,
    *,
    clock: Clock,
    by: str | None = None,
) -> tuple[CronView, bool]:
    """See `Client.add_schedule`."""
    now = clock.now()
    specs = make_specs(request, now, await expected_durations(bus, request))
    await check_build(bus, request, now=now, until=now)  # from now on the scheduler keeps it stored
    name = secrets.token_hex(8)
    if request.run_key is not None:
        name = derived_id("run", request.org_id, f"schedule:{request.run_key}")[2:]
    try:
        plan = CronPlan(
            schedule_id=f"c_{name}",
            org_id=request.org_id,
            expression=expression_of(expression),
            zone=zone,
            by=by or whoami(),
            created_at=now,
            name=request.name,
            meta=dict(request.meta),
            jobs=tuple(specs),
        )
    except ValidationError as error:
        raise usage_error("The schedule", error) from None
    size = len(plan.encode())
    if size > bus.max_payload - _ROOM:
        raise RefusedError(
            f"The schedule takes {size} bytes; the server takes {bus.max_payload - _ROOM} at most.",
            hint="Make several schedules of fewer tests each.",
        )
    answer = await ask(bus, subjects.ctl("cron_add", request.org_id), plan, CronAnswer, patience=TIMEOUT_S)
    return answer.schedules[0], answer.replaced


async def list_all(bus: Bus, *, org_id: str | None = None) -> list[CronView]:
    """See `Client.schedules`."""
    answer = await ask(
        bus, subjects.ctl("cron_list", org_id), CronList(org_id=org_id), CronAnswer, patience=TIMEOUT_S
    )
    return list(answer.schedules)


async def delete(bus: Bus, schedule_id: str, *, by: str | None = None) -> CronView:
    """See `Client.delete_schedule`."""
    request = checked_made("The schedule's id", CronDelete, id=schedule_id, by=by or whoami())
    there: list[CronView] = []
    with contextlib.suppress(RefusedError):  # of more schedules than one answer holds
        there = [view for view in await list_all(bus) if view.schedule_id == schedule_id]
    try:
        answer = await ask(bus, subjects.ctl("cron_delete"), request, CronAnswer, patience=TIMEOUT_S)
    except NotFoundError:
        if not there:
            raise
        # A leader deleted it, and was replaced before it could say so: its successor was asked once more.
        return there[0]
    return answer.schedules[0]
