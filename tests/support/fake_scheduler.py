"""Answers a client's questions as the scheduler does, from what a test says: for what a real one does too quickly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from bus_schemas import subjects
from bus_schemas.agents import Heartbeat
from bus_schemas.base import Message, Problem
from bus_schemas.control import CancelRequest, CtlAnswer
from bus_schemas.events import AnyEvent, Queued, subject_of
from bus_schemas.logs import LogChunk, LogsAnswer, LogsQuery
from bus_schemas.queries import AgentsAnswer, GetAnswer, GetQuery, JobView, RunView
from qgjob.bus.connect import Bus
from qgjob.client.watching.fold import apply_event
from qgjob.domain.verdict import counts_of, run_state_of
from qgjob.scheduler.queries.job_logs import read_logs

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription


class FakeScheduler:
    """Keeps views of the jobs whose events it publishes; `silent` questions are heard, and not answered."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.jobs: dict[str, JobView] = {}
        self.sizes: dict[str, int] = {}
        self.agents: list[Heartbeat] = []
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self.refused: set[str] = set()
        self.unlisted: set[str] = set()
        """Jobs that only the counts of their run still tell of."""
        self.silent: set[str] = set()
        self.page = 500
        self._as_of = 0
        self._subscriptions: list[Subscription] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin to answer."""
        for pattern in (subjects.QUERY_ALL, subjects.CTL_ALL):
            self._subscriptions.append(await self.bus.nc.subscribe(pattern, cb=self._on_request))
        await self.bus.nc.flush()

    async def stop(self) -> None:
        """Answer nothing any more: requests meet nobody."""
        while self._subscriptions:
            await self._subscriptions.pop().unsubscribe()
        await self.bus.nc.flush()

    def add_job(self, job: JobView, *, run_size: int = 1) -> JobView:
        """A job that was queued before the test began."""
        self.jobs[job.job_id] = job
        self.sizes[job.run_id] = run_size
        return job

    async def publish_event(self, event: AnyEvent, *, projected: bool = True) -> int:
        """Store an event; returns its place in the stream. Not `projected`: answers do not know it."""
        ack = await self.bus.requests.publish(subject_of(event), event.encode())
        if projected:
            self._as_of = ack.seq
            view = apply_event(self.jobs.get(event.job_id), event)
            if view is not None:
                self.jobs[event.job_id] = view
            if isinstance(event, Queued):
                self.sizes[event.run_id] = max(self.sizes.get(event.run_id, 0), event.run_size)
        return ack.seq

    async def publish_log(
        self, job: JobView, seq: int, text: str, *, attempt: int = 1, eof: bool = False
    ) -> None:
        """Store a chunk of a job's output."""
        chunk = LogChunk(
            job_id=job.job_id,
            attempt=attempt,
            seq=seq,
            at=0.0,
            parts=(("out", text),) if text else (),
            eof=eof,
        )
        await self.bus.requests.publish(subjects.logs(job.org_id, job.job_id, attempt), chunk.encode())

    async def publish_heartbeat(self, heartbeat: Heartbeat) -> None:
        """An agent says how it is."""
        await self.bus.nc.publish(subjects.live_agent(heartbeat.agent), heartbeat.encode())
        await self.bus.nc.flush()

    async def _on_request(self, msg: Msg) -> None:
        name = msg.subject.split(".")[2]
        self.asked.append(name)
        if name in self.silent:
            return
        match name:
            case "get":
                answer: Message = self._get(GetQuery.decode(msg.data))
            case "agents":
                answer = AgentsAnswer(agents=tuple(self.agents))
            case "logs":
                answer = await self._logs(LogsQuery.decode(msg.data))
            case "cancel":
                answer = CtlAnswer(affected=(self._cancel(CancelRequest.decode(msg.data)),))
            case _:
                return
        await self.bus.nc.publish(msg.reply, answer.encode())

    def _get(self, query: GetQuery) -> GetAnswer:
        if query.id in self.jobs:
            return GetAnswer(job=self.jobs[query.id], as_of=self._as_of)
        jobs = sorted((j for j in self.jobs.values() if j.run_id == query.id), key=lambda job: job.position)
        if not jobs:
            return GetAnswer(problem=Problem(code="not_found", message=f"There is no job or run {query.id}."))
        size = min(query.limit, self.page)
        kept = [job for job in jobs if job.job_id not in self.unlisted]
        some = tuple(kept[query.offset : query.offset + size])
        run = RunView(
            run_id=query.id,
            org_id=jobs[0].org_id,
            state="cancelled" if query.id in self.refused else run_state_of(jobs),
            size=self.sizes.get(query.id, len(jobs)),
            counts=counts_of(jobs),
            jobs=some,
        )
        return GetAnswer(run=run, more=query.offset + size < len(kept), as_of=self._as_of)

    async def _logs(self, query: LogsQuery) -> LogsAnswer:
        limit = min(query.limit, self.page)
        return await read_logs(self.bus, query.model_copy(update={"limit": limit}), None)

    def _cancel(self, request: CancelRequest) -> str:
        self.cancelled.append(request.id)
        return request.id
