"""Submits recurring runs, driven by the server's own message schedules (ADR-51).

A schedule is a message in `QG_CRON`, into which only the leader writes; whenever its time has come,
the server repeats it on another subject. What it repeats carries neither a condition nor an id, so the
run's ids are made from the schedule and the sequence of that repetition: taken twice, it is one run.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import logging
from dataclasses import dataclass
from typing import Final

from bus_schemas import streams, subjects
from bus_schemas.crons import CronAnswer, CronDelete, CronList, CronPlan, CronView
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all, read_last
from qgjob.bus.follow import StreamMessage, stream_message
from qgjob.bus.publish import TTL, expect, lost_compare
from qgjob.bus.pull import ACK, Puller
from qgjob.bus.requester import JsError
from qgjob.bus.topology import create_consumer
from qgjob.client.ids import derived_id
from qgjob.client.submitting.publish_run import PlannedRun, publish_run
from qgjob.clock import Clock
from qgjob.domain.cron import next_due
from qgjob.errors import BadMessageError, NotFoundError, QgjobError, RefusedError, UnreachableError

log = logging.getLogger(__name__)

MAX_SCHEDULES: Final = 1000
BAD_EXPRESSION: Final = 10189
BAD_ZONE: Final = 10223
_AGAIN_S: Final = 5.0
CATCH_UP_AFTER_S: Final = 10.0
"""By then the server repeated what was due while it stood still; what was due while it was down, never."""
_CAUGHT_UP_S: Final = streams.CRON_DUE_KEPT_S - 60.0
"""Up to how late: of what is older it may just be forgotten that it was repeated."""
_EARLY_S: Final = 1.0
"""By so much the server may repeat something too early, by our reckoning."""


@dataclass(slots=True)
class Crons:
    """Keeps the schedules, and submits what is due, within one reign."""

    bus: Bus
    clock: Clock

    async def run(self) -> None:
        """Submit what is due, until cancelled."""
        name = str((await create_consumer(self.bus, streams.CRON, streams.cron_consumer()))["name"])
        async with Puller(self.bus, streams.CRON, name, ahead=10) as puller:
            while True:
                msg = await puller.next()
                await self._submit(stream_message(msg))
                await self.bus.nc.publish(msg.reply, ACK)

    async def catch_up(self) -> None:
        """Have what was due while the server was down, within the hour, submitted late: once each."""
        await asyncio.sleep(CATCH_UP_AFTER_S)
        try:
            plans = await self._plans()
            places = [subjects.cron_due(plan.org_id, plan.schedule_id) for plan, _ in plans]
            last = {m.subject: m for m in await read_last(self.bus, streams.CRON, places)} if places else {}
            for (plan, made_at), subject in zip(plans, places, strict=True):
                if not plan.expression.startswith("@every"):  # which the server begins anew
                    await self._repeat_missed(plan, made_at, subject, last.get(subject))
        except QgjobError as error:  # the next reign tries again
            log.warning("whether a schedule was missed cannot be told: %s", error)

    async def _repeat_missed(
        self, plan: CronPlan, made_at: float, subject: str, last: StreamMessage | None
    ) -> None:
        now = self.clock.now()
        since = max(made_at, now - _CAUGHT_UP_S, last.at + _EARLY_S if last else 0.0)
        due = next_due(plan.expression, plan.zone, made_at, since)
        if due is None or due > now - CATCH_UP_AFTER_S:
            return
        log.warning("the schedule %s was due while the server was down: it is late", plan.schedule_id)
        headers = {**expect(last.seq if last else 0), TTL: f"{streams.CRON_DUE_KEPT_S}s"}
        try:
            await self.bus.requests.publish(subject, plan.encode(), headers=headers)
        except JsError as error:
            if not lost_compare(error):  # else the server has just repeated it
                raise

    async def add(self, data: bytes) -> CronAnswer:
        """The control verb `cron_add`: make a schedule, or replace the one of that id."""
        plan = CronPlan.decode(data)
        if any(job.org_id != plan.org_id for job in plan.jobs):
            raise BadMessageError("A schedule is of one organisation, and so are all its jobs.")
        # A plan that is there already is this very request, whose answer came too late.
        known = [other for other in await self.plans() if other != plan]
        replaced = any(p.schedule_id == plan.schedule_id and p.org_id == plan.org_id for p in known)
        if not replaced and len(known) >= MAX_SCHEDULES:
            raise RefusedError(f"There are {MAX_SCHEDULES} schedules already; delete some first.")
        headers = {
            "Nats-Schedule": plan.expression,
            "Nats-Schedule-Target": subjects.cron_due(plan.org_id, plan.schedule_id),
            "Nats-Schedule-TTL": f"{streams.CRON_DUE_KEPT_S}s",
        }
        if plan.zone is not None:
            headers["Nats-Schedule-Time-Zone"] = plan.zone
        try:
            await self.bus.requests.publish(
                subjects.cron_plan(plan.org_id, plan.schedule_id), plan.encode(), headers=headers
            )
        except JsError as error:
            raise _refusal(plan, error) from error
        return CronAnswer(schedules=(self._shown(plan, self.clock.now()),), replaced=replaced)

    async def list(self, data: bytes) -> CronAnswer:
        """The control verb `cron_list`."""
        request = CronList.decode(data)
        plans = [(p, at) for p, at in await self._plans() if request.org_id in {None, p.org_id}]
        views = await asyncio.gather(*(self._view(plan, made_at) for plan, made_at in plans))
        return CronAnswer(schedules=tuple(views))

    async def delete(self, data: bytes) -> CronAnswer:
        """The control verb `cron_delete`."""
        request = CronDelete.decode(data)
        found = [plan for plan in await self.plans() if plan.schedule_id == request.id]
        if not found:
            raise NotFoundError(
                f"There is no schedule {request.id}.", hint="`qgjob cron list` shows their ids (c_…)."
            )
        for plan in found:
            subject = subjects.cron_plan(plan.org_id, plan.schedule_id)
            await self.bus.requests.api(f"STREAM.PURGE.{streams.CRON}", {"filter": subject})
        return CronAnswer(schedules=tuple(view_of(plan) for plan in found))

    async def plans(self) -> list[CronPlan]:
        """The schedules, oldest first."""
        return [plan for plan, _ in await self._plans()]

    async def _plans(self) -> list[tuple[CronPlan, float]]:
        """The schedules, oldest first, and when the server stored each."""
        plans: dict[str, tuple[CronPlan, float]] = {}
        async for page in read_all(self.bus, streams.CRON, subjects.CRON_PLANS):
            for message in page:
                try:
                    plans[message.subject] = (CronPlan.decode(message.data), message.at)
                except BadMessageError as error:
                    log.warning("ignored a schedule on %s: %s", message.subject, error)
        return sorted(plans.values(), key=lambda found: (found[0].created_at, found[0].schedule_id))

    def _shown(self, plan: CronPlan, made_at: float) -> CronView:
        """A schedule with when it is due next, by our own reckoning."""
        due = next_due(plan.expression, plan.zone, made_at, self.clock.now())
        return view_of(plan).model_copy(update={"next_at": due})

    async def _view(self, plan: CronPlan, made_at: float) -> CronView:
        view = self._shown(plan, made_at)
        subject = subjects.cron_due(plan.org_id, plan.schedule_id)
        answer = await self.bus.requests.request(f"$JS.API.DIRECT.GET.{streams.CRON}.{subject}")
        stored = kv.read_stored(answer)
        if stored is None or stored.deleted:
            return view
        headers = answer.headers or {}
        told = _time(headers.get("Nats-Schedule-Next", ""))
        return view.model_copy(
            update={
                "last_run_id": run_id_of(plan, stored.seq),
                "last_at": _time(headers.get("Nats-Time-Stamp", "")),
                # The server's next time counts, unless it is past: then it was computed before an outage.
                "next_at": told if told is not None and told > self.clock.now() else view.next_at,
            }
        )

    async def _submit(self, due: StreamMessage) -> None:
        """Store the run of a schedule that is due; tried until it is stored or refused for good."""
        try:
            plan = CronPlan.decode(due.data)
            if subjects.cron_due(plan.org_id, plan.schedule_id) != due.subject:
                raise BadMessageError("it stands where another schedule belongs")
        except BadMessageError as error:
            log.warning("ignored what was due on %s: %s", due.subject, error)
            return
        run = planned(plan, due.seq, due.at)
        while True:
            try:
                await publish_run(self.bus, run, clock=self.clock)
            except RefusedError as error:
                log.warning("the schedule %s could not be submitted: %s", plan.schedule_id, error)
            except QgjobError as error:
                log.warning("the schedule %s is submitted later: %s", plan.schedule_id, error)
                await asyncio.sleep(_AGAIN_S)
                continue
            return


def planned(plan: CronPlan, seq: int, at: float) -> PlannedRun:
    """The run of a schedule for its repetition at a place of the stream."""
    run_id = run_id_of(plan, seq)
    key = _key(plan, seq)
    specs = [
        job.model_copy(
            update={
                "run_id": run_id,
                "job_id": derived_id("job", plan.org_id, key, position),
                "position": position,
                "created_at": at,
            }
        )
        for position, job in enumerate(plan.jobs)
    ]
    digest = hashlib.sha256(f"{run_id} {len(specs)}".encode()).hexdigest()
    meta = {**plan.meta, "schedule": plan.schedule_id}
    return PlannedRun(
        run_id=run_id,
        org_id=plan.org_id,
        specs=specs,
        digest=digest,
        name=plan.name,
        meta=meta,
        created_at=at,
    )


def run_id_of(plan: CronPlan, seq: int) -> str:
    """The run of a repetition."""
    return derived_id("run", plan.org_id, _key(plan, seq))


def view_of(plan: CronPlan) -> CronView:
    """A schedule as it is listed."""
    return CronView(
        schedule_id=plan.schedule_id,
        org_id=plan.org_id,
        expression=plan.expression,
        zone=plan.zone,
        by=plan.by,
        created_at=plan.created_at,
        name=plan.name,
        app_version_id=plan.jobs[0].app_version_id,
        tests=len(plan.jobs),
    )


def _key(plan: CronPlan, seq: int) -> str:
    return f"cron:{plan.schedule_id}:{seq}"


def _time(stamp: str) -> float | None:
    whole, _, _ = stamp.rstrip("Z").partition(".")
    try:
        return dt.datetime.fromisoformat(whole + "+00:00").timestamp()
    except ValueError:
        return None


def _refusal(plan: CronPlan, error: JsError) -> QgjobError:
    if error.err_code == BAD_ZONE:
        return BadMessageError(f"There is no time zone {plan.zone!r}; name one such as Europe/Berlin.")
    if error.err_code == BAD_EXPRESSION:
        zone = (
            " A zone goes with fields, not with @every." if plan.zone and "@every" in plan.expression else ""
        )
        return BadMessageError(
            f"The server takes no schedule {plan.expression!r}.{zone}",
            hint="It has five fields (minute hour day month weekday) or six (a second before them), "
            "or is @hourly, @daily, @weekly, @monthly, @every 30m; and it must be due some day.",
        )
    if error.code == 503:  # as of a run: it is the server's state, not the schedule
        return UnreachableError(
            f"The server did not store the schedule: {error.description}.",
            hint="Is its disk full, or its cluster without a leader? `qgjob doctor` says more.",
        )
    return RefusedError(f"The server refused the schedule: {error.description}.")
