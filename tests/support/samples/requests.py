"""Requests that change something, and `explain`."""

from __future__ import annotations

from bus_schemas import control, crons, explain, rules
from bus_schemas.base import Message
from tests.support.samples.jobs import SPEC
from tests.support.samples.lab import GROUP

CRON_VIEW = crons.CronView(
    schedule_id="c_01",
    org_id="acme",
    expression="0 30 5 * * 1-5",
    zone="Europe/Berlin",
    by="ann",
    created_at=1_790_000_000.0,
    name="nightly",
    app_version_id="shop v1.2",
    tests=1,
    last_run_id="r_02",
    last_at=1_790_000_100.0,
    next_at=1_790_086_500.0,
)

REQUESTS: tuple[Message, ...] = (
    control.CancelRequest(
        id="r_01", also=("j_04",), by="ann", reason="wrong branch", nonce="n1", patient=True
    ),
    control.CtlAnswer(
        affected=("j_01",),
        already=("j_02",),
        gone=("j_03",),
        forgotten=2,
        refused=(control.Refusal(ids=("j_04",), message="There is no job or run j_04."),),
    ),
    control.Order(verb="retry", request='{"id":"r_01","by":"ann","nonce":"n1"}', at=1_790_000_000.0),
    rules.QueueRules(
        changed=True,
        pauses=(rules.PauseMark(org_id="acme", by="ann", at=1_790_000_000.0, note="the lab moves"),),
        orgs=(rules.OrgRule(org_id="acme", max_running=8, weight=2.0),),
    ),
    rules.PauseRequest(capability="emulator", by="ann", note="new images"),
    rules.ResumeRequest(capability="emulator", by="ann"),
    rules.LimitRequest(org_id="acme", by="ann", max_running=8),
    control.ReprioritiseRequest(id="r_01", priority=9, by="ann"),
    rules.PriorityMark(id="r_01", priority=9, by="ann", at=1_790_000_000.0),
    control.RetryRequest(id="r_01", by="ann", nonce="n3", failed=True),
    crons.CronPlan(
        schedule_id="c_01",
        org_id="acme",
        expression="0 30 5 * * 1-5",
        zone="Europe/Berlin",
        by="ann",
        created_at=1_790_000_000.0,
        name="nightly",
        jobs=(SPEC,),
    ),
    CRON_VIEW,
    crons.CronDelete(id="c_01", by="ann"),
    crons.CronList(org_id="acme"),
    crons.CronAnswer(schedules=(CRON_VIEW,)),
    explain.ExplainRequest(job_id="j_01"),
    explain.ExplainAnswer(
        job_id="j_01",
        state="queued",
        summary="It waits: the organisation acme is paused.",
        group=GROUP,
        priority=9,
        waited_s=12.5,
        ahead=3,
        group_waiting=4,
        class_waiting=9,
        gates=(explain.Gate(kind="paused", why="the organisation acme is paused"),),
        slots=(
            explain.SlotsWhy(kind="busy", why="busy", count=1, slots=("lab-1/s0",), free_at=1_790_000_060.0),
        ),
        slots_total=1,
        changes=("Resume the queue: qgjob queue resume --org-id acme",),
        attempts=(
            explain.AttemptWhy(
                number=1, slot="lab-1/s0", because="the build is installed there", outcome="errored"
            ),
        ),
    ),
)
