"""Answers queries (`qg.query.<name>.<org>`): any replica does, whether it leads or not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from bus_schemas import subjects
from bus_schemas.base import ErrorCode, Message, Problem
from bus_schemas.deadletters import DeadLettersAnswer, DeadLettersQuery
from bus_schemas.history import DurationsAnswer, DurationsQuery, HistoryAnswer, HistoryQuery
from bus_schemas.logs import LogsAnswer, LogsQuery
from bus_schemas.queries import (
    AgentsAnswer,
    GetAnswer,
    GetQuery,
    HealthAnswer,
    JobView,
    ListAnswer,
    ListQuery,
    Overview,
)
from bus_schemas.streams import EVENTS
from bus_schemas.tokens import decode_token, encode_token
from qgjob.bus.connect import Bus
from qgjob.bus.topology import stream_state
from qgjob.clock import Clock, SystemClock, rfc3339
from qgjob.errors import BadMessageError, NotFoundError, QgjobError, UnknownIdError
from qgjob.scheduler.backlog.job_specs import describe_unannounced
from qgjob.scheduler.dispatch.holds import read_holds
from qgjob.scheduler.queries.dead_letters import read_letters
from qgjob.scheduler.queries.health_check import HealthCheck, read_agents
from qgjob.scheduler.queries.job_logs import read_logs
from qgjob.scheduler.queries.lookup import FoundJob, FoundRun, KnownJobs, Lookup
from qgjob.scheduler.queries.reply_size import fit, fit_overview
from qgjob.scheduler.queries.test_history import near_tests, read_durations, read_outcomes
from qgjob.store.reader import Filters, Reader

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger(__name__)

QUEUE: Final = "qgjob-queries"
AT_ONCE: Final = 32
"""Questions that are worked on at the same time."""
MAX_WAITING: Final = 1000
"""Questions beyond these are turned away at once."""
ANSWER_WITHIN_S: Final = 4.5
"""Clients wait 5 s."""
_CATCH_UP_S: Final = 1.0
"""How long a list waits for the projection, which gathers events for a tenth of a second."""
_LOOK_S: Final = 0.01
_ROOM: Final = 4096
_SUGGEST_WITHIN_S: Final = 1.5
_LEAVE_S: Final = 2.0
_ANSWERS: Final[dict[str, Callable[..., Message]]] = {
    "list": ListAnswer,
    "logs": LogsAnswer,
    "overview": partial(Overview, at=0.0),
    "agents": AgentsAnswer,
    "history": HistoryAnswer,
    "durations": DurationsAnswer,
    "dead_letters": DeadLettersAnswer,
    "health": partial(HealthAnswer, ok=False),
}
"""What says of a problem that there is no answer, by the query's name."""


@dataclass(frozen=True, slots=True)
class _Question:
    """A request: its payload, and to which organisation its subject confines it."""

    data: bytes
    org_token: str | None

    def sees(self, org_id: str) -> bool:
        return self.org_token is None or encode_token(org_id) == self.org_token


class QueryService:
    """Answers queries."""

    def __init__(
        self,
        bus: Bus,
        reader: Reader,
        overview: Callable[[], Overview | None],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._bus = bus
        self._reader = reader
        self._overview = overview
        self._clock = clock or SystemClock()
        self._lookup = Lookup(bus, reader, self._clock)
        self._health = HealthCheck(bus, reader, self._clock, overview)
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: dict[str, Callable[[_Question], Awaitable[bytes]]] = {
            "get": self._get,
            "list": self._list,
            "logs": self._logs,
            "overview": self._show_overview,
            "agents": self._agents,
            "health": self._show_health,
            "history": self._history,
            "durations": self._durations,
            "dead_letters": self._dead_letters,
        }

    async def run(self) -> None:
        """Answer until cancelled; queries that are being worked on then are still answered."""
        try:
            async with self._bus.subscribed(subjects.QUERY_ALL, self._on_question, queue=QUEUE):
                await asyncio.Event().wait()
        finally:
            if self._tasks:
                _, late = await asyncio.wait(self._tasks, timeout=_LEAVE_S)
                for task in late:
                    task.cancel()

    async def known_jobs(self, any_id: str) -> KnownJobs | None:
        """The jobs that a job's or a run's id stands for; None when it stands for nothing.

        Raises `QgjobError` when that cannot be told now.
        """
        return await self._lookup.known(any_id)

    async def _on_question(self, msg: Msg) -> None:
        if not msg.reply:
            return
        if len(self._tasks) >= MAX_WAITING:
            await self._reply(msg, _problem(msg, "unavailable", "Too many questions at once; ask again."))
            return
        task = asyncio.create_task(self._serve(msg))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, msg: Msg) -> None:
        *_, name, org = msg.subject.split(".")
        question = _Question(msg.data, None if org == subjects.ANY_ORG else org)
        answer = self._answers.get(name)
        try:
            if answer is None:
                raise BadMessageError(f"There is no query {name!r}; there are {', '.join(self._answers)}.")
            async with asyncio.timeout(ANSWER_WITHIN_S), self._limit:
                data = await answer(question)
        except BadMessageError as error:
            data = _problem(msg, "bad_request", error.message)
        except NotFoundError as error:
            data = _problem(msg, "not_found", error.message, error.hint)
        except QgjobError as error:
            data = _problem(msg, "unavailable", error.message, error.hint)
        except TimeoutError:
            data = _problem(msg, "unavailable", "The answer took too long; ask again.")
        except Exception:
            log.exception("the query %s failed", msg.subject)
            data = _problem(msg, "unavailable", "The query service met an error of its own; see its log.")
        await self._reply(msg, data)

    async def _reply(self, msg: Msg, data: bytes) -> None:
        if len(data) > self._bus.max_payload:
            data = _problem(msg, "unavailable", "The answer is larger than the server's max_payload.")
        with contextlib.suppress(Exception):  # who asked will ask again
            await self._bus.nc.publish(msg.reply, data)

    @property
    def _room(self) -> int:
        return self._bus.max_payload - _ROOM

    async def _get(self, question: _Question) -> bytes:
        query = GetQuery.decode(question.data)
        found = await self._lookup.find(query.id)
        if found is None or not question.sees(found.doc.org_id):
            raise UnknownIdError(query.id)
        if isinstance(found, FoundRun) and found.forgotten:
            raise NotFoundError(
                f"What became of {query.id} is not kept any more: "
                f"it was submitted at {rfc3339(found.doc.created_at)}.",
                hint="How jobs ended is known for a day; of their tests `qgjob history` knows more.",
            )
        as_of = found.as_of
        if isinstance(found, FoundJob):
            await describe_unannounced(self._bus, [found.doc])
            view = found.view(self._clock.now())
            return fit(
                (view,), lambda some, _: GetAnswer(job=some[0] if some else None, as_of=as_of), self._room
            )
        return await self._run_page(found, query)

    async def _run_page(self, run: FoundRun, query: GetQuery) -> bytes:
        jobs, behind = await self._lookup.page(run, query.offset, query.limit)

        def build(some: tuple[JobView, ...], cut: bool) -> Message:
            return GetAnswer(run=run.view(some), more=cut or behind, as_of=run.as_of)

        return fit(jobs, build, self._room)

    async def _list(self, question: _Question) -> bytes:
        query = ListQuery.decode(question.data)
        org = self._org_of(question, query.org_id)
        filters = Filters(query.state, org, query.app_version_id, query.run_id)
        await self._let_projection_catch_up()
        listed = await self._reader.list(filters, limit=query.limit, offset=query.offset)
        await describe_unannounced(self._bus, listed.jobs)
        now = self._clock.now()

        def build(some: tuple[JobView, ...], cut: bool) -> Message:
            more = cut or listed.more
            return ListAnswer(jobs=some, total=listed.total, more=more, as_of=listed.position.seq)

        return fit(tuple(doc.view(now) for doc in listed.jobs), build, self._room)

    async def _let_projection_catch_up(self) -> None:
        """Wait a moment until it has what is in the stream now: who saw a job end finds that in a list."""
        with contextlib.suppress(TimeoutError, QgjobError):  # without the stream, what is known is told
            async with asyncio.timeout(_CATCH_UP_S):
                last: int = (await stream_state(self._bus, EVENTS))["last_seq"]
                while True:
                    at = await self._reader.position()
                    if at is None or at.rebuilding or at.seq >= last:
                        return
                    await asyncio.sleep(_LOOK_S)

    async def _logs(self, question: _Question) -> bytes:
        query = LogsQuery.decode(question.data)
        answer = await read_logs(self._bus, query, question.org_token)
        if not answer.chunks and not query.after_seq:
            found = await self._lookup.find(query.job_id)
            if not isinstance(found, FoundJob) or not question.sees(found.doc.org_id):
                raise NotFoundError(f"There is no job {query.job_id}.", hint="`qgjob list` shows the latest.")
        return answer.encode()

    async def _show_overview(self, _: _Question) -> bytes:
        overview = self._overview()
        if overview is None:
            raise QgjobError("No leader has told how things are yet.", hint="`qgjob health` says more.")
        return fit_overview(overview, self._room)

    async def _agents(self, _: _Question) -> bytes:
        agents, holds = await asyncio.gather(read_agents(self._bus), read_holds(self._bus))
        return AgentsAnswer(agents=tuple(agents), holds=tuple(holds)).encode()

    async def _show_health(self, _: _Question) -> bytes:
        return (await self._health.answer()).encode()

    async def _history(self, question: _Question) -> bytes:
        query = HistoryQuery.decode(question.data)
        org = self._org_of(question, query.org_id)
        outcomes = await read_outcomes(self._bus, query.test, org)
        if not outcomes:
            near: list[str] = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SUGGEST_WITHIN_S):
                    near = await near_tests(self._bus, query.test, org)
            of = f" of {org}" if org else ""
            raise NotFoundError(
                f"Nothing is remembered of a test {query.test}{of}.",
                hint=f"Did you mean {' or '.join(near)}?"
                if near
                else "A test is named as its file in the bundle, as `qgjob list` shows it.",
            )
        orgs = {record.org_id for record in outcomes}
        org = org or (orgs.pop() if len(orgs) == 1 else None)
        expected = (await read_durations(self._bus, org)).get(query.test) if org else None

        shown = tuple(outcomes[: query.limit])
        while len(data := HistoryAnswer(outcomes=shown, expected_s=expected).encode()) > self._room:
            shown = shown[: len(shown) // 2]
        return data

    async def _durations(self, question: _Question) -> bytes:
        query = DurationsQuery.decode(question.data)
        org = self._org_of(question, query.org_id)
        known = await read_durations(self._bus, org or query.org_id)
        return DurationsAnswer(seconds={t: known[t] for t in query.tests if t in known}).encode()

    async def _dead_letters(self, question: _Question) -> bytes:
        query = DeadLettersQuery.decode(question.data)
        if question.org_token is not None:
            raise BadMessageError(
                "Of what cannot be read nobody knows whose it is: ask for any organisation."
            )
        return (await read_letters(self._bus, query, self._room)).encode()

    def _org_of(self, question: _Question, named: str | None) -> str | None:
        """The one organisation that is asked about, if any; raises `BadMessageError` for another's."""
        if question.org_token is None:
            return named
        org = named or decode_token(question.org_token)
        if org is None or not question.sees(org):
            raise BadMessageError("The query's subject and its org_id name different organisations.")
        return org


def _problem(msg: Msg, code: ErrorCode, message: str, hint: str | None = None) -> bytes:
    """An answer of the right type for the query, with a problem instead of content."""
    problem = Problem(code=code, message=message[:4000], hint=hint)
    answer = _ANSWERS.get(msg.subject.split(".")[2], GetAnswer)
    return answer(problem=problem).encode()
