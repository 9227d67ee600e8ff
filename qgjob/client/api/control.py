"""The `Client` methods that change something: jobs, the queue, slots, schedules. The leader answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qgjob.client.api.base import ClientBase
from qgjob.client.api.lazy_module import LazyModule

if TYPE_CHECKING:
    from bus_schemas.control import CtlAnswer
    from bus_schemas.crons import CronView
    from bus_schemas.lab import HoldVerb, SlotsAnswer
    from bus_schemas.rules import QueueRules
    from qgjob.client.models import SubmitRequest
    from qgjob.client.requests import control, deadletters, lab
    from qgjob.client.submitting import crons
else:  # a command uses one or two of them, and waits for the import of each
    control = LazyModule("qgjob.client.requests.control")
    crons = LazyModule("qgjob.client.submitting.crons")
    deadletters = LazyModule("qgjob.client.requests.deadletters")
    lab = LazyModule("qgjob.client.requests.lab")


class ControlMethods(ClientBase):
    """Cancel, retry, reprioritise; rules of the queue; holds; schedules; dead letters."""

    # Of a large run these three take a while. What the scheduler has taken it carries out, also when
    # whoever asked goes away or another scheduler takes over; `on_left` hears how many jobs are to come.

    async def cancel(
        self,
        any_id: str,
        *,
        reason: str | None = None,
        by: str | None = None,
        on_left: Callable[[int], None] | None = None,
    ) -> CtlAnswer:
        """Cancel a job, or all jobs of a run that have not ended; raises `NotFoundError`."""
        return await control.cancel(self.bus, any_id, reason=reason, by=by, on_left=on_left)

    async def retry(
        self,
        any_id: str,
        *,
        failed: bool = False,
        by: str | None = None,
        on_left: Callable[[int], None] | None = None,
    ) -> CtlAnswer:
        """Give a job that ended, or every such job of a run, a new attempt; with `failed` only failed ones.

        Raises `NotFoundError`, and `RefusedError` when what they were made of is not kept any more.
        """
        return await control.retry(self.bus, any_id, failed=failed, by=by, on_left=on_left)

    async def reprioritise(
        self,
        any_id: str,
        priority: int,
        *,
        by: str | None = None,
        on_left: Callable[[int], None] | None = None,
    ) -> CtlAnswer:
        """Give a job, or all jobs of a run, another priority, 1 to 10; raises `NotFoundError`.

        It counts at once for those that wait, and in later attempts for those that a slot has.
        """
        return await control.reprioritise(self.bus, any_id, priority, by=by, on_left=on_left)

    # Of several jobs in one request: one to which it cannot be done stands among the answer's `refused`.

    async def cancel_jobs(
        self, job_ids: Sequence[str], *, reason: str | None = None, by: str | None = None
    ) -> CtlAnswer:
        """Cancel several jobs, at least one."""
        return await control.cancel_jobs(self.bus, job_ids, reason=reason, by=by)

    async def retry_jobs(self, job_ids: Sequence[str], *, by: str | None = None) -> CtlAnswer:
        """Give several jobs, at least one, a new attempt each."""
        return await control.retry_jobs(self.bus, job_ids, by=by)

    async def reprioritise_jobs(
        self, job_ids: Sequence[str], priority: int, *, by: str | None = None
    ) -> CtlAnswer:
        """Give several jobs, at least one, another priority, 1 to 10."""
        return await control.reprioritise_jobs(self.bus, job_ids, priority, by=by)

    async def pause_queue(
        self,
        *,
        org_id: str | None = None,
        capability: str | None = None,
        note: str | None = None,
        by: str | None = None,
    ) -> QueueRules:
        """Start no more jobs of an organisation, of a capability, of both, or none at all.

        Returns all rules that are in force then.
        """
        return await control.pause(self.bus, org_id=org_id, capability=capability, note=note, by=by)

    async def resume_queue(
        self, *, org_id: str | None = None, capability: str | None = None, by: str | None = None
    ) -> QueueRules:
        """Lift exactly that pause; returns all rules that are in force then."""
        return await control.resume(self.bus, org_id=org_id, capability=capability, by=by)

    async def limit_org(
        self,
        org_id: str,
        *,
        max_running: int | None = None,
        unlimited: bool = False,
        weight: float | None = None,
        by: str | None = None,
    ) -> QueueRules:
        """Set how many jobs an organisation may have running at once, and its weight among the others."""
        return await control.limit(
            self.bus, org_id, max_running=max_running, unlimited=unlimited, weight=weight, by=by
        )

    async def hold(
        self,
        verb: HoldVerb,
        name: str,
        *,
        note: str | None = None,
        for_s: float | None = None,
        by: str | None = None,
    ) -> SlotsAnswer:
        """Drain, pause, quarantine or reserve a slot (`agent/slot`) or an agent, or resume it.

        A running job is finished first. `for_s`: for how long, in seconds; None: until it is resumed.
        Raises `NotFoundError` (no such slot) and `RefusedError` (somebody else holds it).
        """
        return await lab.hold(self.bus, verb, name, note=note, for_s=for_s, by=by)

    async def resume_build(self, org_id: str, app_version_id: str, *, by: str | None = None) -> None:
        """Resume a build that is held because it failed on slot after slot.

        Raises `NotFoundError` when it is not held.
        """
        await lab.resume_build(self.bus, org_id, app_version_id, by=by)

    async def add_schedule(
        self, request: SubmitRequest, expression: str, zone: str | None = None, *, by: str | None = None
    ) -> tuple[CronView, bool]:
        """Add a schedule that submits a run repeatedly; returns it, and whether it replaced one.

        `expression`: five fields as crontab has them, six with the second before them, or `@hourly`,
        `@every 30m`, …; `zone`: of the IANA's database, else UTC. With a `run_key`, the one of that
        key is replaced. Raises `UsageError` when the server takes no such schedule.
        """
        return await crons.add(self.bus, request, expression, zone, clock=self.clock, by=by)

    async def schedules(self, *, org_id: str | None = None) -> list[CronView]:
        """The schedules, oldest first."""
        return await crons.list_all(self.bus, org_id=org_id)

    async def delete_schedule(self, schedule_id: str, *, by: str | None = None) -> CronView:
        """Delete a schedule, whose runs go on; raises `NotFoundError`."""
        return await crons.delete(self.bus, schedule_id, by=by)

    async def drop_dead_letters(self, number: int | None = None, *, by: str | None = None) -> int:
        """Drop one dead letter, or without `number` all that exist now.

        Returns how many are gone; raises `NotFoundError`.
        """
        return await deadletters.drop(self.bus, number, by=by)
