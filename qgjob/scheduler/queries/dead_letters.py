"""Dead letters: how many there are, what they say, and dropping them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bus_schemas import subjects
from bus_schemas.deadletters import (
    BEGINNING_BYTES,
    DeadLetter,
    DeadLettersAnswer,
    DeadLettersDrop,
    DeadLettersDropped,
    DeadLettersQuery,
    DeadLetterView,
)
from bus_schemas.streams import DEAD
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_at, read_between
from qgjob.bus.follow import StreamMessage
from qgjob.bus.topology import delete_message, stream_state
from qgjob.errors import BadMessageError, NotFoundError, QgjobError

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 2.0
_WIDEST: Final = 1000
_PAGE_BYTES: Final = 4 * 2**20


@dataclass(slots=True)
class DeadLetters:
    """Counts the dead letters and drops them, within one reign."""

    bus: Bus
    on_change: Callable[[], None]
    count: int = 0
    """As of some seconds ago: whoever sets one aside does not tell us."""

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            with contextlib.suppress(QgjobError):  # keep the last known number meanwhile
                await self._look()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def drop(self, data: bytes) -> DeadLettersDropped:
        """The control verb `dead_letters_drop`."""
        request = DeadLettersDrop.decode(data)
        if request.number is None:
            # Up to the newest of now: nobody has seen those that come meanwhile.
            last = int((await stream_state(self.bus, DEAD))["last_seq"])
            purged = await self.bus.requests.api(f"STREAM.PURGE.{DEAD}", {"seq": last + 1})
            dropped = int(purged["purged"])
        else:
            await _one(self.bus, request.number)
            await delete_message(self.bus, DEAD, request.number)
            dropped = 1
        log.info("%s dropped %d dead letters", request.by, dropped)
        await self._look()
        return DeadLettersDropped(dropped=dropped)

    async def _look(self) -> None:
        count = int((await stream_state(self.bus, DEAD))["messages"])
        if count != self.count:
            self.count = count
            self.on_change()


async def read_letters(bus: Bus, query: DeadLettersQuery, room: int) -> DeadLettersAnswer:
    """One letter whole, or a page of them in `room` bytes; raises `NotFoundError`."""
    if query.number is not None:
        return DeadLettersAnswer(letters=(_view(await _one(bus, query.number)),), total=1)
    state = await stream_state(bus, DEAD)
    first, end = int(state["first_seq"]), int(state["last_seq"]) + 1
    below = min(end, query.before or end)
    found: list[DeadLetterView] = []
    wide = query.limit
    while below > first and len(found) < query.limit:
        start = max(first, below - wide)
        letters = await read_between(bus, DEAD, subjects.DEAD_ALL, start, below, max_bytes=_PAGE_BYTES)
        found[:0] = (_view(letter, BEGINNING_BYTES) for letter in letters)
        below, wide = start, min(2 * wide, _WIDEST)  # where many were dropped the others lie far apart
    shown = found[::-1][: query.limit]
    more = below > first or len(found) > len(shown)
    answer = DeadLettersAnswer(letters=tuple(shown), total=int(state["messages"]), more=more)
    while len(answer.encode()) > room and shown:
        shown = shown[: len(shown) // 2]
        answer = answer.model_copy(update={"letters": tuple(shown), "more": True})
    return answer


async def _one(bus: Bus, number: int) -> StreamMessage:
    message = await read_at(bus, DEAD, number)
    if message is None:
        raise NotFoundError(
            f"There is no dead letter {number}.",
            hint="`qgjob deadletters list` shows them; they are kept for 7 days.",
        )
    return message


def _view(message: StreamMessage, most: int | None = None) -> DeadLetterView:
    """A letter as it is shown, whoever wrote it; `most`: only so much of its payload."""
    try:
        letter = DeadLetter.decode(message.data)
        payload = base64.b64decode(letter.data, validate=True)
    except (BadMessageError, binascii.Error, ValueError) as error:
        letter = DeadLetter(
            stream=DEAD,
            subject=message.subject[:4096],
            seq=message.seq,
            reason=f"this is no letter: {error}"[:4000],
            data="",
            size=len(message.data),
            at=message.at,
        )
        payload = message.data
    return DeadLetterView(
        number=message.seq,
        at=message.at,
        stream=letter.stream,
        subject=letter.subject,
        seq=letter.seq,
        reason=letter.reason,
        size=max(letter.size, len(payload)),
        kept=len(payload),
        data=base64.b64encode(payload[:most]).decode("ascii"),
    )
