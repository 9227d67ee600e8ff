"""The `Client` methods that follow what happens: watches, waits, logs and live subscriptions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from qgjob.client.api.base import ClientBase
from qgjob.client.api.lazy_module import LazyModule

if TYPE_CHECKING:
    from bus_schemas.agents import Heartbeat
    from bus_schemas.logs import StoredChunk
    from bus_schemas.queries import Overview
    from qgjob.client import models
    from qgjob.client.models import LiveEvent, Submitted, Waited, WaitOptions
    from qgjob.client.watching import labfeed, live, logs, wait, watch
    from qgjob.client.watching.labfeed import LabFeed
    from qgjob.client.watching.live import Live
    from qgjob.client.watching.watch import Watch
else:  # a command uses one or two of them, and waits for the import of each
    labfeed = LazyModule("qgjob.client.watching.labfeed")
    live = LazyModule("qgjob.client.watching.live")
    logs = LazyModule("qgjob.client.watching.logs")
    models = LazyModule("qgjob.client.models")
    wait = LazyModule("qgjob.client.watching.wait")
    watch = LazyModule("qgjob.client.watching.watch")


class WatchMethods(ClientBase):
    """Subscriptions: they go on until they are closed, or until nothing more can come."""

    def watch(self, any_id: str, *, known: Submitted | None = None) -> Watch:
        """A job or a run kept up to date while it is entered; see `Watch`.

        `known`: what `submit` returned, so that a run can be watched that no scheduler read yet.
        """
        return watch.Watch(self.bus, any_id, known=known, clock=self.clock)

    async def wait(
        self,
        any_id: str,
        options: WaitOptions | None = None,
        *,
        known: Submitted | None = None,
        on_change: Callable[[Watch], None] | None = None,
    ) -> Waited:
        """Wait until a job, or all jobs of a run, have ended; restarts of servers are sat out.

        `on_change` is called with the watched state after every change, and every 10 s without one. Raises
        `NotFoundError`.
        """
        return await wait.wait(
            self.bus,
            any_id,
            options or models.WaitOptions(),
            clock=self.clock,
            known=known,
            on_change=on_change,
        )

    def logs(
        self, job_id: str, *, follow: bool = False, tail: int | None = None
    ) -> AsyncGenerator[StoredChunk]:
        """The output of a job in order, each chunk once; with `follow`, until the job has ended.

        `tail`: of what is stored only the last so many lines, 1 to 10,000; what comes before them is not
        read. Raises `NotFoundError`. Close the generator to stop following.
        """
        return logs.read(self.bus, job_id, follow=follow, tail=tail, clock=self.clock)

    def lab_feed(self) -> LabFeed:
        """The whole lab, kept up to date while it is entered; see `LabFeed`."""
        return labfeed.LabFeed(self.bus, self.clock)

    def live_events(self, *, run_id: str | None = None, job_id: str | None = None) -> Live[LiveEvent]:
        """Events as they are stored: of one job, of one run, or all."""
        return live.events(self.bus, run_id=run_id, job_id=job_id)

    def live_overview(self) -> Live[Overview]:
        """The overview as the leader publishes it: when something changed, at most 4 times a second."""
        return live.overview(self.bus)

    def live_agents(self) -> Live[Heartbeat]:
        """Heartbeats: every 5 s and on change of each agent; state `gone` at a clean stop."""
        return live.agents(self.bus)

    def live_logs(self, job_id: str) -> Live[StoredChunk]:
        """Output of one job as it is stored; `logs` joins it with what was stored before."""
        return live.logs(self.bus, job_id)
