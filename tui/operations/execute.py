"""Carries out what the user said yes to, and says what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from bus_schemas.control import MAX_ALSO, CtlAnswer
from bus_schemas.lab import HoldVerb
from qgjob.client import Client
from qgjob.errors import QgjobError, UnreachableError
from tui.operations.catalog import SLOT_VERBS, Operation, Verb

MAX_CONCURRENT_REQUESTS: Final = 16
"""How many requests are under way at a time."""
JOBS_PER_REQUEST: Final = MAX_ALSO + 1
_MAX_REASONS: Final = 5
"""So many different reasons are said."""
_MAX_NAMED: Final = 3


class Notice(NamedTuple):
    """A sentence for the user; a bad one tells of what was not done."""

    text: str
    is_error: bool = False


@dataclass(slots=True)
class Outcome:
    """What an operation did."""

    done: list[str] = field(default_factory=list[str])
    later: list[str] = field(default_factory=list[str])
    """Jobs that have begun: it counts for their later attempts."""
    already: list[str] = field(default_factory=list[str])
    """Nothing had to be done."""
    refused: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By sentence, the targets to which it was not done."""
    unanswered: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The same where no answer came: whether it was done is not known."""

    def notices(self, operation: Operation) -> list[Notice]:
        """How many targets it was done to, and to how many and which of them not."""
        name = f"qgjob {operation.verb}"
        said: list[Notice] = []
        if self.done:
            what = self.done[0] if len(self.done) == 1 else f"{_count(self.done)} done."
            said.append(Notice(f"{name}: {what}"))
        if self.later:
            said.append(Notice(f"{name}: {_count(self.later)} begun, where it counts if tried again."))
        if self.already:
            said.append(Notice(f"{name}: nothing to do for {_count(self.already)}."))
        failed = [(reason, targets, "not done for") for reason, targets in self.refused.items()]
        failed += [(reason, targets, "no answer for") for reason, targets in self.unanswered.items()]
        for reason, targets, what in failed[:_MAX_REASONS]:
            where = f"{_count(targets)} of {_count(operation.targets)} ({_first_names(targets)})"
            said.append(
                Notice(reason if len(operation.targets) == 1 else f"{name}: {what} {where}. {reason}", True)
            )
        if rest := [target for _, targets, _ in failed[_MAX_REASONS:] for target in targets]:
            said.append(Notice(f"{name}: not done for {_count(rest)} more ({_first_names(rest)}).", True))
        return said


def _count(targets: Sequence[str]) -> str:
    return f"{len(targets):,}"


def _first_names(targets: Sequence[str]) -> str:
    return ", ".join(targets[:_MAX_NAMED]) + (", …" if len(targets) > _MAX_NAMED else "")


async def execute(client: Client, operation: Operation) -> Outcome:
    """Do it to every target; one that is refused does not stop the others."""
    outcome = Outcome()
    limit = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)

    async def execute_batch(targets: Sequence[str]) -> None:
        async with limit:
            try:
                answer = await _HANDLERS[operation.verb](client, operation, targets)
            except UnreachableError as error:
                outcome.unanswered.setdefault(error.message, []).extend(targets)
                return
            except QgjobError as error:
                outcome.refused.setdefault(error.message, []).extend(targets)
                return
        outcome.done.extend(answer.affected)
        outcome.later.extend(answer.later)
        outcome.already.extend(answer.already)
        for refusal in answer.refused:
            outcome.refused.setdefault(refusal.message, []).extend(refusal.ids)

    size = JOBS_PER_REQUEST if operation.about_jobs else 1
    batches = [operation.targets[start : start + size] for start in range(0, len(operation.targets), size)]
    await asyncio.gather(*map(execute_batch, batches))
    return outcome


async def _cancel(client: Client, operation: Operation, targets: Sequence[str]) -> CtlAnswer:
    return await client.cancel_jobs(targets, reason=operation.argument or "cancelled in the dashboard")


async def _retry(client: Client, operation: Operation, targets: Sequence[str]) -> CtlAnswer:
    del operation
    return await client.retry_jobs(targets)


async def _reprioritise(client: Client, operation: Operation, targets: Sequence[str]) -> CtlAnswer:
    return await client.reprioritise_jobs(targets, operation.priority or 5)


async def _pause(client: Client, operation: Operation, targets: Sequence[str]) -> CtlAnswer:
    capability, org = targets[0].split("\x00")
    await client.pause_queue(
        org_id=org or None, capability=capability or None, note=operation.argument or None
    )
    return CtlAnswer(affected=(org or capability or "queue",))


async def _resume(client: Client, operation: Operation, targets: Sequence[str]) -> CtlAnswer:
    del operation
    capability, org = targets[0].split("\x00")
    await client.resume_queue(org_id=org or None, capability=capability or None)
    return CtlAnswer(affected=(org or capability or "queue",))


async def _resume_build(client: Client, operation: Operation, targets: Sequence[str]) -> CtlAnswer:
    del operation
    version, org = targets[0].split("\x00")
    await client.resume_build(org, version)
    return CtlAnswer(affected=(version,))


async def _hold(client: Client, operation: Operation, targets: Sequence[str]) -> CtlAnswer:
    (target,) = targets
    verb = cast("HoldVerb", operation.verb.rpartition(" ")[2])
    answer = await client.hold(verb, target, note=operation.argument or None)
    return CtlAnswer(affected=(target,)) if answer.changed else CtlAnswer(already=(target,))


_HANDLERS: Final[dict[Verb, Callable[[Client, Operation, Sequence[str]], Awaitable[CtlAnswer]]]] = {
    "cancel": _cancel,
    "retry": _retry,
    "reprioritise": _reprioritise,
    "queue pause": _pause,
    "queue resume": _resume,
    "app resume": _resume_build,
    **dict.fromkeys(SLOT_VERBS, _hold),
}
