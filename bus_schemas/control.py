"""Control requests (`qg.ctl`) on one job, several, or all of a run (cancel, retry, reprioritise)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import Field

from bus_schemas.base import Answer, Count, Id, Message, Model, Text, Timestamp
from bus_schemas.jobs import Priority

MAX_ALSO: Final = 499
"""How many jobs a request may name beside the first."""


class BulkRequest(Message):
    """A request that may concern all jobs of a run: persisted until a leader has carried it out."""

    id: Id
    """A job, or a run: all of its jobs."""
    also: Annotated[tuple[Id, ...], Field(max_length=MAX_ALSO)] = ()
    """More jobs; each may be refused by itself."""
    by: Id
    patient: bool = False
    """Who asks understands an answer that says how many jobs are left, and asks again."""


class CancelRequest(BulkRequest):
    """Cancel a job, or all jobs of a run (`qg.ctl.cancel.<org>`)."""

    reason: Text = "cancelled by request"
    nonce: Id | None = None
    """The same in a request that is repeated: what it cancelled before counts as cancelled by it."""


class RetryRequest(BulkRequest):
    """A new attempt of a job that ended, or of a run's (`qg.ctl.retry.<org>`)."""

    nonce: Id
    """The same in a request that is repeated: it makes no second attempt."""
    failed: bool = False
    """Only those that failed, timed out or errored."""


class ReprioritiseRequest(BulkRequest):
    """Give a job, or all jobs of a run, another priority (`qg.ctl.reprioritise.<org>`)."""

    priority: Priority
    nonce: Id | None = None
    """The same in a request that is repeated."""


class Order(Message):
    """A request that concerns many jobs, as it is kept in the bucket `qg_orders`."""

    verb: Id
    request: Annotated[str, Field(max_length=2**20)]
    """The request as it came, in JSON."""
    at: Timestamp
    """When it was taken, by the leader's clock."""


class Refusal(Model):
    """Why a request that names several jobs was not carried out for some of them."""

    ids: tuple[Id, ...]
    message: Text


class CtlAnswer(Answer):
    """What a control request did."""

    affected: tuple[Id, ...] = ()
    """Jobs that were changed."""
    already: tuple[Id, ...] = ()
    """Jobs that had ended before; for a retry, those that have not ended or need none."""
    later: tuple[Id, ...] = ()
    """Jobs that are released or run already: the change counts for their later attempts."""
    gone: tuple[Id, ...] = ()
    """Jobs that could not be tried again: what they were made of is not kept any more."""
    forgotten: Count = 0
    """How many more jobs of the run are not kept any more: neither are their ids."""
    refused: tuple[Refusal, ...] = ()
    """Of a request that names several jobs, those that it could not be done to."""
    left: Annotated[int, Field(ge=0)] = 0
    """The request, a `patient` one, is kept and goes on, with about so many jobs to come: ask again."""


def merge_answers(answers: Iterable[CtlAnswer]) -> CtlAnswer:
    """Several answers as one; jobs refused for the same reason are listed in one refusal."""
    every = list(answers)
    refused: dict[str, list[str]] = {}
    for answer in every:
        for refusal in answer.refused:
            refused.setdefault(refusal.message, []).extend(refusal.ids)
    return CtlAnswer(
        affected=tuple(name for answer in every for name in answer.affected),
        already=tuple(name for answer in every for name in answer.already),
        later=tuple(name for answer in every for name in answer.later),
        gone=tuple(name for answer in every for name in answer.gone),
        forgotten=sum(answer.forgotten for answer in every),
        refused=tuple(Refusal(ids=tuple(ids), message=message) for message, ids in refused.items()),
    )
