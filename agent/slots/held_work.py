"""Notes on disk which work an agent holds: killed and started again, it hands that back at once.

Without a note the work stream redelivers it only when its lease has run out. Whoever starts in the agent's
folder has its lock and has ended what the former agent left running. It hands back only what cannot belong to
anybody else by now: the lease must not be over, and the claim chain must still name this claim, or nobody.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from agent.attempts.claim import nonce_of_holder
from bus_schemas.events import Ended
from bus_schemas.streams import lease_of
from qgjob.bus.chain import read_chain
from qgjob.bus.connect import Bus
from qgjob.bus.pull import NAK
from qgjob.bus.unreadable import UNREADABLE
from qgjob.errors import QgjobError

log = logging.getLogger(__name__)

_MAX_BYTES: Final = 16_384
_ACKS: Final = "$JS.ACK."
_WRITE: Final = os.O_WRONLY | os.O_CREAT


@dataclass(slots=True)
class Note:
    """The note of one claim, which may not have been made yet. Errors in writing it are only logged."""

    path: Path
    chain: str
    nonce: str
    ack: str
    lease_s: float
    release_file: Callable[[Path], None]
    """Told, once, of a file that another note may have."""
    _cleared: bool = False

    def update(self, left_s: float) -> None:
        """Update the note: the lease lasts for that long from now."""
        at = time.time() - (self.lease_s - left_s)
        said = {"chain": self.chain, "nonce": self.nonce, "ack": self.ack, "lease_s": self.lease_s, "at": at}
        try:
            _write(self.path, json.dumps(said).encode())
        except OSError as error:
            log.warning("what was claimed on %s cannot be noted: %s", self.chain, error.strerror)

    def clear(self) -> None:
        """Clear the note: its end is recorded, or it is held no more."""
        if self._cleared:
            return
        self._cleared = True
        try:
            _write(self.path, b"")
        except OSError as error:
            log.warning("%s: %s", self.path, error.strerror)
        else:
            self.release_file(self.path)


class HeldWork:
    """The notes of all slots of an agent, in files that are reused.

    To make and remove a file for each job costs ten times as much, and on some file systems much more.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._free: list[Path] = []
        self._files = 0

    def note(self, chain: str, nonce: str, ack: str, ack_wait_s: float, *, came_s: float) -> Note:
        """Note the claim `nonce` on work whose message came so many seconds ago."""
        if not self._free:
            self._files += 1
            self._free.append(self._folder / str(self._files))
        note = Note(self._free.pop(), chain, nonce, ack, lease_of(ack_wait_s), self._free.append)
        note.update(note.lease_s - came_s)
        return note

    async def hand_back(self, bus: Bus) -> int:
        """Hand back what a former agent in this folder held when it was killed; returns how much that was."""
        return sum(await asyncio.gather(*(_hand_back(bus, path) for path in self._notes_on_disk())))

    def _notes_on_disk(self) -> list[Path]:
        try:
            return sorted(self._folder.iterdir())
        except OSError:
            return []


def _write(path: Path, said: bytes) -> None:
    """Write a note over the one before, of which only what is behind the line's end is left."""
    try:
        file = os.open(path, _WRITE, 0o666)
    except FileNotFoundError:  # the folder is not looked for each time
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, _WRITE, 0o666)
    try:
        os.write(file, said + b"\n")
    finally:
        os.close(file)


async def _hand_back(bus: Bus, path: Path) -> bool:
    said, done = _read(path), False
    try:
        if said is not None and await _still_ours(bus, said.nonce, said.chain):
            # No retry: by then the message may be another slot's.
            await bus.requests.request(said.ack, NAK, timeout=2.0)
            done = True
    except QgjobError as error:
        log.warning("what the former agent held is given again when its lease is over: %s", error)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s: %s", path, error.strerror)
    return done


async def _still_ours(bus: Bus, nonce: str, chain: str) -> bool:
    link, _ = await read_chain(bus, chain)
    return link is None or (not isinstance(link, Ended) and nonce_of_holder(link) == nonce)


class _StoredNote(NamedTuple):
    chain: str
    nonce: str
    ack: str


def _read(path: Path) -> _StoredNote | None:
    """What a note says whose lease is not over; None of any other file."""
    try:
        with path.open("rb") as file:
            said: Any = json.loads(file.readline(_MAX_BYTES))
        found = _StoredNote(str(said["chain"]), str(said["nonce"]), str(said["ack"]))
        age_s, lease_s = time.time() - float(said["at"]), float(said["lease_s"])
    except (OSError, *UNREADABLE):
        return None
    # A clock that was set back says nothing of how old it is.
    return found if found.ack.startswith(_ACKS) and 0 <= age_s < lease_s else None
