"""Carries out what the user said yes to, and says what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, cast

from bus_schemas.lab import HoldVerb
from bus_schemas.requests import CtlAnswer
from qgjob.client import Client
from qgjob.errors import QgjobError
from tui.deeds import SLOT_VERBS, Deed, Verb

AT_ONCE: Final = 16
"""How many requests are under way at a time."""


@dataclass(slots=True)
class Outcome:
    """What a deed did."""

    done: list[str] = field(default_factory=list[str])
    already: list[str] = field(default_factory=list[str])
    """Nothing had to be done."""
    refused: list[str] = field(default_factory=list[str])
    """Sentences, one for each target that could not be served."""


async def carry_out(client: Client, deed: Deed) -> Outcome:
    """Do it to every target; one that is refused does not stop the others."""
    outcome = Outcome()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(target: str) -> None:
        async with gate:
            try:
                answer = await _DOERS[deed.verb](client, deed, target)
            except QgjobError as error:
                outcome.refused.append(error.message)
                return
        outcome.done.extend(answer.affected)
        outcome.already.extend(answer.already)

    await asyncio.gather(*map(one, deed.targets))
    return outcome


async def _cancel(client: Client, deed: Deed, target: str) -> CtlAnswer:
    return await client.cancel(target, reason=deed.argument or "cancelled in the dashboard")


async def _retry(client: Client, deed: Deed, target: str) -> CtlAnswer:
    del deed
    return await client.retry(target)


async def _reprioritise(client: Client, deed: Deed, target: str) -> CtlAnswer:
    return await client.reprioritise(target, deed.priority or 5)


async def _pause(client: Client, deed: Deed, target: str) -> CtlAnswer:
    capability, org = target.split("\x00")
    await client.pause_queue(org_id=org or None, capability=capability or None, note=deed.argument or None)
    return CtlAnswer(affected=(org or capability or "queue",))


async def _resume(client: Client, deed: Deed, target: str) -> CtlAnswer:
    del deed
    capability, org = target.split("\x00")
    await client.resume_queue(org_id=org or None, capability=capability or None)
    return CtlAnswer(affected=(org or capability or "queue",))


async def _hold(client: Client, deed: Deed, target: str) -> CtlAnswer:
    verb = cast("HoldVerb", deed.verb.rpartition(" ")[2])
    answer = await client.hold(verb, target, note=deed.argument or None)
    return CtlAnswer(affected=(target,)) if answer.changed else CtlAnswer(already=(target,))


_DOERS: Final[dict[Verb, Callable[[Client, Deed, str], Awaitable[CtlAnswer]]]] = {
    "cancel": _cancel,
    "retry": _retry,
    "reprioritise": _reprioritise,
    "queue pause": _pause,
    "queue resume": _resume,
    **dict.fromkeys(SLOT_VERBS, _hold),
}
