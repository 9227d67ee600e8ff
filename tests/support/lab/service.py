"""The play on a real nats-server: events and logs stored, the rest published, queries answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from bus_schemas import subjects
from bus_schemas.base import Message, Problem
from bus_schemas.control import CancelRequest, CtlAnswer, Refusal, merge_answers
from bus_schemas.events import AnyEvent, subject_of
from bus_schemas.logs import LogChunk, LogsQuery
from bus_schemas.queries import AgentsAnswer, GetAnswer, GetQuery, JobView, ListAnswer, ListQuery
from qgjob.bus.connect import Bus
from qgjob.bus.topology import ensure_topology, stream_state
from qgjob.domain.lifecycle import TERMINAL
from qgjob.scheduler.queries.job_logs import read_logs
from tests.support.lab import asked
from tests.support.lab.model import LabModel

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

Answer = Callable[[bytes], Awaitable[Message]]


class LabService:
    """Says on the bus what happens in the model, and stands in for the query service."""

    def __init__(self, bus: Bus, model: LabModel) -> None:
        self.bus = bus
        self.model = model
        self.asked: list[str] = []
        """The subjects of the questions that came, in order."""
        self.looked_up: list[tuple[str, int | None]] = []
        """The ids of which all was asked, and how many jobs of each."""
        self.listed: list[int] = []
        """How many jobs each question for a list wanted."""
        self.behind: tuple[list[JobView], int] | None = None
        """The jobs as lists show them while they are behind, and the last event that they know of."""
        self.refuses_behind: int | None = None
        """Lists from there on are not answered but refused."""
        self._subscriptions: list[Subscription] = []
        self._org_of: dict[str, str] = {}

    async def open(self) -> None:
        """Make the streams and begin to answer."""
        await ensure_topology(self.bus)
        await self.answer()

    async def answer(self) -> None:
        """Begin to answer questions."""
        answers: dict[str, Answer] = {
            subjects.query("overview"): self._overview,
            subjects.query("agents"): self._agents,
            "qg.query.list.*": self._list,
            "qg.query.get.*": self._get,
            "qg.query.logs.*": self._logs,
            "qg.ctl.cancel.*": self._cancel,
        }
        for subject, answer in answers.items():
            self._subscriptions.append(
                await self.bus.nc.subscribe(subject, queue="qg", cb=self._answering(answer))
            )
        await self.bus.nc.flush()

    async def fall_silent(self) -> None:
        """No longer answer questions, as when no scheduler runs."""
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        self._subscriptions.clear()
        await self.bus.nc.flush()

    async def publish(self, events: Iterable[AnyEvent]) -> None:
        """Store events; who listens to live events hears them then."""
        futures = [await self.bus.requests.send(subject_of(event), event.encode()) for event in events]
        await asyncio.gather(*futures)

    async def publish_log(self, org: str, chunks: Iterable[LogChunk]) -> None:
        """Store output."""
        for chunk in chunks:
            await self.bus.requests.publish(subjects.logs(org, chunk.job_id, chunk.attempt), chunk.encode())

    async def publish_state(self) -> None:
        """Publish the overview and each agent's heartbeat."""
        await self.bus.nc.publish(subjects.LIVE_OVERVIEW, asked.overview(self.model).encode())
        for beat in asked.heartbeats(self.model):
            await self.bus.nc.publish(subjects.live_agent(beat.agent), beat.encode())

    async def step(self, seconds: float = 1.0) -> None:
        """Let time pass in the model and say what happened."""
        await self.publish(self.model.step(seconds))
        await self.publish_state()

    async def end_all(self) -> None:
        """Let time pass until every job has ended."""
        while any(view.state not in TERMINAL for view in self.model.views.values()):
            await self.step(5)

    def _answering(self, answer: Answer) -> Callable[[Msg], Awaitable[None]]:
        async def on_question(msg: Msg) -> None:
            self.asked.append(msg.subject)
            await msg.respond((await answer(msg.data)).encode())

        return on_question

    async def _overview(self, data: bytes) -> Message:
        return asked.overview(self.model)

    async def _agents(self, data: bytes) -> Message:
        return AgentsAnswer(agents=tuple(asked.heartbeats(self.model)))

    async def _list(self, data: bytes) -> Message:
        query = ListQuery.decode(data)
        self.listed.append(query.limit)
        if self.refuses_behind is not None and query.offset >= self.refuses_behind:
            return ListAnswer(problem=Problem(code="unavailable", message="The store is busy."))
        views = [
            view
            for view in (self.behind[0] if self.behind else self.model.views.values())
            if (query.state is None or view.state == query.state)
            and (query.org_id is None or view.org_id == query.org_id)
            and (query.run_id is None or view.run_id == query.run_id)
        ]
        views.sort(key=lambda view: (-view.created_at, view.position))
        as_of = self.behind[1] if self.behind else (await stream_state(self.bus, "QG_EVENTS"))["last_seq"]
        page = tuple(views[query.offset : query.offset + query.limit])
        return ListAnswer(jobs=page, total=len(views), as_of=as_of)

    async def _get(self, data: bytes) -> Message:
        query = GetQuery.decode(data)
        self.looked_up.append((query.id, query.limit))
        if query.id in self.model.views:
            return GetAnswer(job=self.model.views[query.id])
        run = asked.run_view(self.model, query.id)
        if run is not None:
            return GetAnswer(run=run)
        return GetAnswer(problem=Problem(code="not_found", message=f"There is no job or run {query.id}."))

    async def _logs(self, data: bytes) -> Message:
        return await read_logs(self.bus, LogsQuery.decode(data), None)

    async def _cancel(self, data: bytes) -> Message:
        request = CancelRequest.decode(data)
        return merge_answers([await self._cancel_one(name) for name in (request.id, *request.also)])

    async def _cancel_one(self, job_id: str) -> CtlAnswer:
        events = self.model.cancel(job_id)
        if events is None:
            return CtlAnswer(refused=(Refusal(ids=(job_id,), message=f"There is no job {job_id}."),))
        await self.publish(events)
        return CtlAnswer(affected=(job_id,)) if events else CtlAnswer(already=(job_id,))
