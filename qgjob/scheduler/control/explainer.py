"""Answers `explain`: why a job waits, from placement; where its attempts went and why, from events."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from bus_schemas.events import Attempt, Released, decode_event_at
from bus_schemas.explain import AttemptWhy, ExplainAnswer, ExplainRequest, Gate
from bus_schemas.jobs import JobMessage
from bus_schemas.queries import JobState
from bus_schemas.streams import EVENTS, JOBS
from bus_schemas.tokens import encode_token
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all, read_last
from qgjob.client.ids import kind_of
from qgjob.clock import Clock
from qgjob.domain.history import JobDoc
from qgjob.domain.lifecycle import HELD, TERMINAL
from qgjob.domain.placement.explain import explain
from qgjob.domain.placement.model import LabState
from qgjob.errors import BadMessageError, NewerMessageError, NotFoundError
from qgjob.scheduler.backlog.entries import Backlog
from qgjob.scheduler.control.cancels import FindJobs
from qgjob.scheduler.slices import slices

MAX_ATTEMPTS = 50


@dataclass(slots=True)
class Explainer:
    """Answers `explain` within one reign."""

    bus: Bus
    clock: Clock
    state: LabState
    backlog: Backlog
    find_jobs: FindJobs

    async def explain(self, data: bytes) -> ExplainAnswer:
        """The control verb `explain`; raises `NotFoundError`, of a run also when all of it has ended."""
        job_id = await self._first_of(ExplainRequest.decode(data).job_id)
        answer, doc, history = await self._look_at(job_id)
        if answer is None and doc is not None and doc.state in HELD:  # it ended meanwhile
            answer, doc, history = await self._look_at(job_id)
        if answer is None and doc is None:
            return await self._of_newer_release(job_id)
        if answer is not None and doc is not None and doc.state in TERMINAL and doc.attempt >= answer.attempt:
            answer = None  # found in the backlog after a crash: it is dropped when its turn comes
        if answer is None:
            return _elsewhere(doc, history) if doc is not None else ExplainAnswer(job_id=job_id)
        entry = self.backlog.entries.get(job_id)
        if entry is not None and entry.cancel is not None:
            gate = Gate(kind="cancelling", why="it is being cancelled")
            answer = answer.model_copy(
                update={"gates": (gate, *answer.gates), "summary": "It is being cancelled."}
            )
        running = _because(history, answer.attempt) if answer.state in {"running", "dispatched"} else None
        if running:
            answer = answer.model_copy(update={"summary": f"{answer.summary} Why there: {running}."})
        return answer.model_copy(update={"attempts": history})

    async def _look_at(
        self, job_id: str
    ) -> tuple[ExplainAnswer | None, JobDoc | None, tuple[AttemptWhy, ...]]:
        """What placement and events say of a job now."""
        found = await self.find_jobs(job_id)
        doc = next((doc for doc in (found.docs if found else ()) if doc.job_id == job_id), None)
        history = () if doc is None else await self._history(doc)
        # Last, after all that takes time: the state of this moment.
        return explain(self.state, job_id, self.clock.now()), doc, history

    async def _of_newer_release(self, job_id: str) -> ExplainAnswer:
        """Of a job that nobody knows, as its message cannot be read; raises `NotFoundError`."""
        for stored in await read_last(self.bus, JOBS, [f"qg.jobs.*.*.{encode_token(job_id)}"]):
            try:
                JobMessage.decode(stored.data)
            except NewerMessageError:
                return ExplainAnswer(
                    job_id=job_id,
                    state="queued",
                    summary="It waits until the scheduler is upgraded: a newer release submitted it.",
                    changes=("Upgrade the schedulers: `qgjob doctor` says which releases there are.",),
                )
            except BadMessageError:
                continue  # it is just being set aside
        raise _no_job(job_id)

    async def _first_of(self, name: str) -> str:
        """Of a run the first job that waits, or else of those that are out; a job is meant itself."""
        jobs = self.backlog.runs.get(name)
        if jobs is None:
            if kind_of(name) == "run":
                raise _no_job(name)
            return name
        found: tuple[bool, int, str] | None = None
        async for some in slices(list(jobs)):
            for job_id in some:
                waits = self.state.jobs.get(job_id)
                out = None if waits else self.state.in_flight.get(job_id)
                job = waits or (out.job if out else None)
                if job is not None:
                    mine = (waits is None, job.order, job_id)
                    found = mine if found is None else min(found, mine)
        if found is None:
            raise _no_job(name)
        return found[2]

    async def _history(self, doc: JobDoc) -> tuple[AttemptWhy, ...]:
        """Where each attempt went and why, as far as that is kept."""
        because: dict[int, str | None] = {}
        org, run, job = (encode_token(part) for part in (doc.org_id, doc.run_id, doc.job_id))
        async for page in read_all(self.bus, EVENTS, f"qg.events.{org}.{run}.{job}.*.info"):
            for message in page:
                with contextlib.suppress(BadMessageError):
                    event = decode_event_at(message.subject, message.data)
                    if isinstance(event, Released):
                        because[event.attempt] = event.because
        numbers = sorted(because.keys() | doc.attempts.keys())[-MAX_ATTEMPTS:]
        return tuple(_attempt(n, doc.attempts.get(n), because.get(n)) for n in numbers)


def _no_job(name: str) -> NotFoundError:
    return NotFoundError(f"There is no job {name}.", hint="`qgjob list` shows the latest jobs.")


def _attempt(number: int, attempt: Attempt | None, because: str | None) -> AttemptWhy:
    if attempt is None:
        return AttemptWhy(number=number, because=because)
    return AttemptWhy(
        number=number,
        slot=f"{attempt.agent}/{attempt.slot}" if attempt.agent else None,
        because=because,
        outcome=attempt.outcome,
        why=attempt.message or (attempt.reason or "").replace("_", " ") or None,
    )


def _because(history: tuple[AttemptWhy, ...], number: int) -> str | None:
    return next((attempt.because for attempt in history if attempt.number == number), None)


def _elsewhere(doc: JobDoc, history: tuple[AttemptWhy, ...]) -> ExplainAnswer:
    """What placement does not know (any more): a job that ended, or whose run is not complete."""
    state: JobState = doc.state
    if state in TERMINAL:
        last = history[-1] if history else None
        where = f" on {last.slot}" if last and last.slot else ", without having run"
        why = f": {doc.message}" if doc.message and state != "passed" else ""
        placed = f" It went there because: {last.because}." if last and last.slot and last.because else ""
        summary = f"It ended {state.replace('_', ' ')}{where}{why}.{placed}"
    elif state in HELD:
        summary = (
            "No slot has it any more: it has just ended, or its message was lost, and it soon ends as lost."
        )
    else:
        summary = "It is not placed yet: its run is not complete, or its next attempt is just being stored."
    return ExplainAnswer(
        job_id=doc.job_id,
        state=state,
        attempt=doc.attempt,
        summary=summary[:4000],
        priority=doc.priority,
        attempts=history,
    )
