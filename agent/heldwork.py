"""What an agent holds, noted on its disk: killed and started again, it hands that back at once.

Without a note the work stream gives it again only when its lease has run out. Who starts in the agent's
folder has its lock and has ended what the former one left running, so nothing of it runs any more. It hands
back only what is surely not somebody else's by now: the lease must not be over, and the claim chain still
name this claim.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.claim import Claim, nonce_of_holder
from agent.lease import lease_of
from bus_schemas.events import Ended
from qgjob.bus.chain import read_chain
from qgjob.bus.connect import Bus
from qgjob.bus.pull import NAK
from qgjob.errors import QgjobError

log = logging.getLogger(__name__)

_MAX_BYTES: Final = 16_384
_ACKS: Final = "$JS.ACK."


@dataclass(frozen=True, slots=True)
class Note:
    """One claim, noted. What cannot be written is not noted: its lease runs out then."""

    path: Path
    lease_s: float

    def renewed(self, left_s: float) -> None:
        """Its job may go on for that long from now."""
        at = time.time() - (self.lease_s - left_s)
        try:
            os.utime(self.path, (at, at))
        except OSError:
            return

    def settle(self) -> None:
        """Its end is recorded, or it is held no more."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: %s", self.path, error.strerror)


class HeldWork:
    """The notes of all slots of an agent, one file each, named after the nonce of the claim."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, held: Claim, ack: str, ack_wait_s: float, *, came_s: float) -> Note:
        """Note a claim whose message came so many seconds ago."""
        note = Note(self._folder / held.nonce, lease_of(ack_wait_s))
        said = json.dumps({"chain": held.subject, "ack": ack, "lease_s": note.lease_s})
        try:
            self._write(note.path, said)
        except OSError as error:
            log.warning("%s cannot be noted: %s", held.message.spec.job_id, error.strerror)
        note.renewed(note.lease_s - came_s)
        return note

    def _write(self, path: Path, said: str) -> None:
        """Every job waits for this: the folder is made when it is missing, not looked for each time."""
        try:
            path.write_text(said)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_text(said)

    async def hand_back(self, bus: Bus) -> int:
        """Hand back what a former agent in this folder held when it was killed; returns how much that was."""
        return sum(await asyncio.gather(*(_hand_back(bus, path) for path in self._left_behind())))

    def _left_behind(self) -> list[Path]:
        try:
            return sorted(self._folder.iterdir())
        except OSError:
            return []


async def _hand_back(bus: Bus, path: Path) -> bool:
    said, done = _read(path), False
    try:
        if said is not None and await _still_ours(bus, path.name, said[0]):
            # Once only: it may be somebody else's by the time of a second try.
            await bus.requests.request(said[1], NAK, timeout=2.0)
            done = True
    except QgjobError as error:
        log.warning("what the former agent held is given again when its lease is over: %s", error)
    Note(path, 0.0).settle()
    return done


async def _still_ours(bus: Bus, nonce: str, chain: str) -> bool:
    link, _ = await read_chain(bus, chain)
    return link is not None and not isinstance(link, Ended) and nonce_of_holder(link) == nonce


def _read(path: Path) -> tuple[str, str] | None:
    """The chain and the ack of a note whose lease is not over; None of any other file."""
    try:
        with path.open("rb") as file:
            age_s = time.time() - os.fstat(file.fileno()).st_mtime
            said: Any = json.loads(file.read(_MAX_BYTES))
        chain, ack, lease_s = str(said["chain"]), str(said["ack"]), float(said["lease_s"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    # A clock that was set back says nothing of how old it is.
    return (chain, ack) if ack.startswith(_ACKS) and 0 <= age_s < lease_s else None
