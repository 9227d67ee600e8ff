"""What to say when an answer does not come: who is waited for, and what may still happen."""

from __future__ import annotations

import asyncio
from typing import Final

from bus_schemas import subjects
from qgjob.bus.account import START_A_SCHEDULER, user_of
from qgjob.bus.connect import Bus
from qgjob.bus.requester import RequestTimeoutError
from qgjob.errors import QgjobError, UnreachableError

SAY_AFTER_S: Final = 2.0
_TRIP_S: Final = 1.0
_ASKS_ONLY: Final = frozenset({"explain", "cron_list"})


async def report_slow_answer(bus: Bus) -> None:
    """Say after two to three seconds who has not answered; to be cancelled when the answer comes."""
    await asyncio.sleep(SAY_AFTER_S)
    text = f"{await _silent_party(bus)} has not answered yet; still waiting."
    for told in tuple(bus.on_slow):
        told(text)


async def no_answer_error(bus: Bus, subject: str) -> UnreachableError:
    """The error for a request that was sent and not answered."""
    hint = "See `qgjob health`, and the scheduler's log."
    return UnreachableError(
        f"{await _silent_party(bus)} does not answer in time.", hint=f"{_late_effect_hint(subject)}{hint}"
    )


async def no_scheduler_error(bus: Bus, subject: str, *, sent: bool) -> UnreachableError:
    """The error for a request that nobody takes; `sent`: to one who took it, and has not answered."""
    user = await user_of(bus)
    whom = f" {user}: none runs, or that role may not ask" if user else ""
    return UnreachableError(
        f"The server is there, but no scheduler answers{whom}.",
        hint=f"{_late_effect_hint(subject) if sent else ''}{START_A_SCHEDULER}",
    )


def _late_effect_hint(subject: str) -> str:
    """What may still happen: a scheduler that hangs may carry the request out later."""
    if not subject.startswith(subjects.REQUESTS) or subject.split(".")[2] in _ASKS_ONLY:
        return ""
    return "What was asked for may still be carried out when it goes on. "


async def _silent_party(bus: Bus) -> str:
    """Who does not answer: the scheduler, or the server itself when it does not reply to a ping."""
    try:
        await bus.requests.round_trip(timeout=_TRIP_S)
    except RequestTimeoutError:
        return "The server"
    except QgjobError:
        return "The scheduler"
    return "The scheduler"
