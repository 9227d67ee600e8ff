"""Schedules of recurring runs, and the requests that list and delete them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from bus_schemas.base import Answer, Id, Message, Text, Timestamp
from bus_schemas.jobs import JobSpec

Expression = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[ -~]+$")]
"""Six fields (second, minute, hour, day, month, weekday), or `@hourly`, `@daily`, `@every 30m`, …."""
Zone = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")]


class CronPlan(Message):
    """A schedule, in the stream `QG_CRON`; the server repeats it whenever its time has come."""

    schedule_id: Id
    org_id: Id
    expression: Expression
    zone: Zone | None = None
    """Of the IANA's database, such as `Europe/Berlin`; None: UTC."""
    by: Id
    created_at: Timestamp
    name: Text | None = None
    """Of each of its runs."""
    meta: dict[str, Text] = Field(default_factory=dict)
    jobs: Annotated[tuple[JobSpec, ...], Field(min_length=1)]
    """What each run consists of; their ids and times are those of the first submit that could be."""


class CronView(Message):
    """A schedule as it is listed."""

    schedule_id: Id
    org_id: Id
    expression: Expression
    zone: Zone | None = None
    by: Id
    created_at: Timestamp
    name: Text | None = None
    app_version_id: Id
    tests: int
    last_run_id: Id | None = None
    last_at: Timestamp | None = None
    """When it was due last, as far as that is remembered: for an hour."""
    next_at: Timestamp | None = None
    """When it is due next; None when the scheduler cannot tell, as of a zone that its machine lacks."""


class CronDelete(Message):
    """Delete a schedule (`qg.ctl.cron_delete.<org>`); runs that it submitted go on."""

    id: Id
    by: Id


class CronList(Message):
    """The schedules, all or an organisation's (`qg.ctl.cron_list.<org>`)."""

    org_id: Id | None = None


class CronAnswer(Answer):
    """The schedules that were asked for, made or deleted."""

    schedules: tuple[CronView, ...] = ()
    replaced: bool = False
    """Whether a schedule of that id was there before."""
