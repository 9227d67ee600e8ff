"""Messages that could not be read: a scheduler shows them, the leader drops them."""

from __future__ import annotations

from bus_schemas import subjects
from bus_schemas.deadletters import (
    MAX_LETTERS,
    DeadLettersAnswer,
    DeadLettersDrop,
    DeadLettersDropped,
    DeadLettersQuery,
    DeadLetterView,
)
from qgjob.bus.connect import Bus
from qgjob.client.checks import checked_made
from qgjob.client.requests.control import whoami
from qgjob.client.requests.request import ask

_SUBJECT = subjects.query("dead_letters")


async def newest(bus: Bus, limit: int) -> tuple[list[DeadLetterView], int]:
    """See `Client.dead_letters`."""
    found: list[DeadLetterView] = []
    while True:
        before = found[-1].number if found else None
        question = DeadLettersQuery(before=before, limit=min(MAX_LETTERS, limit - len(found)))
        answer = await ask(bus, _SUBJECT, question, DeadLettersAnswer)
        found += answer.letters
        if len(found) >= limit or not answer.more or not answer.letters:
            return found, answer.total


async def one(bus: Bus, number: int) -> DeadLetterView:
    """See `Client.dead_letter`."""
    question = checked_made("The number", DeadLettersQuery, number=number)
    answer = await ask(bus, _SUBJECT, question, DeadLettersAnswer)
    return answer.letters[0]


async def drop(bus: Bus, number: int | None, *, by: str | None = None) -> int:
    """See `Client.drop_dead_letters`."""
    request = checked_made("The number", DeadLettersDrop, number=number, by=by or whoami())
    answer = await ask(bus, subjects.ctl("dead_letters_drop"), request, DeadLettersDropped)
    return answer.dropped
