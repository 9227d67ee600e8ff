"""The rules of the queue (pauses, limits, weights, changed priorities), and the requests that set them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bus_schemas.base import Answer, Id, Message, Model, Text, Timestamp
from bus_schemas.jobs import Priority

Running = Annotated[int, Field(ge=1, le=1_000_000)]
Weight = Annotated[float, Field(ge=0.01, le=100.0, allow_inf_nan=False)]


class PauseMark(Model):
    """What does not start: of an organisation, of a capability, of both, or everything."""

    org_id: Id | None = None
    capability: Id | None = None
    """Jobs that need all of its labels; `any`: those that need none."""
    by: Id
    at: Timestamp
    note: Text | None = None


class OrgRule(Model):
    """What holds for an organisation."""

    org_id: Id
    max_running: Running | None = None
    """How many of its jobs may be released or running at once."""
    weight: Weight | None = None
    """Its share of the starts as against the others'; without one it is 1."""


class QueueRules(Answer):
    """All rules of the queue, in the bucket `qg_settings`; also the answer to who sets them."""

    changed: bool = False
    """In an answer: whether the request changed anything."""
    pauses: tuple[PauseMark, ...] = ()
    orgs: tuple[OrgRule, ...] = ()


class PauseRequest(Message):
    """Pause what is named, or everything (`qg.ctl.queue_pause.<org>`)."""

    org_id: Id | None = None
    capability: Id | None = None
    by: Id
    note: Text | None = None


class ResumeRequest(Message):
    """Lift exactly that pause (`qg.ctl.queue_resume.<org>`)."""

    org_id: Id | None = None
    capability: Id | None = None
    by: Id


class LimitRequest(Message):
    """Set what holds for an organisation (`qg.ctl.queue_limit.<org>`); what is not named stays."""

    org_id: Id
    by: Id
    max_running: Running | None = None
    unlimited: bool = False
    """Lift the limit on running jobs."""
    weight: Weight | None = None


class PriorityMark(Message):
    """The priority that a job or run was given after its submit, in the bucket `qg_priorities`."""

    id: Id
    priority: Priority
    by: Id
    at: Timestamp
