"""Publishes an agent's heartbeats, and makes sure that no second agent has its name.

Each write of the key is a compare-and-set against our own last one. So of two agents of one name, wherever
they run and whenever they began, one alone can go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bus_schemas import subjects
from bus_schemas.agents import Heartbeat
from bus_schemas.streams import AGENT_TTL_S, AGENTS_BUCKET
from bus_schemas.tokens import encode_token
from qgjob.bus import NatsError, kv
from qgjob.bus.connect import Bus
from qgjob.bus.kv import Stored
from qgjob.bus.publish import lost_compare
from qgjob.bus.requester import JsError
from qgjob.bus.unreadable import UNREADABLE
from qgjob.errors import BadMessageError, QgjobError, RefusedError
from qgjob.waiting import set_within

log = logging.getLogger(__name__)

HEARTBEAT_S: Final = 5.0
_CHANGE_S: Final = 0.25
_GOODBYE_S: Final = 2.0
_NOTE: Final = "last_start"


class Heartbeats:
    """The heartbeats of one agent: `begin`, then `run`, then `say_goodbye`."""

    def __init__(self, bus: Bus, name: str, folder: Path, tell: Callable[[], Heartbeat]) -> None:
        """`folder`: the agent's own, of which it has the lock. `tell` makes a heartbeat of this moment."""
        self._bus = bus
        self._name = name
        self._note = folder / _NOTE
        self._tell = tell
        self._key = encode_token(name)
        self._seq = 0
        self._changed = asyncio.Event()
        self._unheard = False
        """And it was said."""
        self.twin: RefusedError | None = None
        """Says who else has the name, once another agent has taken it."""
        self.taken = asyncio.Event()
        """Set when there is a twin."""

    async def begin(self) -> None:
        """Take the name; raises `RefusedError` when another agent of that name is alive."""
        stored = await self._stored()
        other = _read(stored)
        if other is not None and not self._is_own_earlier(other):
            stored = await self._wait_for_silence(stored)
            if stored is None:
                raise _duplicate_name_error(self._name, other)
        self._seq = stored.seq if stored is not None else 0
        self._remember()

    def changed(self) -> None:
        """Send a heartbeat soon: something has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Beat until cancelled, or until another agent has the name."""
        while self.twin is None:
            self._changed.clear()
            await self._send()
            await asyncio.sleep(_CHANGE_S)
            await set_within(self._changed, HEARTBEAT_S - _CHANGE_S)

    async def say_goodbye(self) -> None:
        """Send the last heartbeat and delete the key, unless another agent has the name."""
        if self.twin is not None:
            return
        with contextlib.suppress(Exception):  # the server may be gone before us
            await self._bus.nc.publish(subjects.live_agent(self._name), self._tell().encode())
            async with asyncio.timeout(_GOODBYE_S):
                stored = await self._stored()  # a put that was cancelled may be stored
                if stored is not None and _same_agent(_read(stored), self._tell()):
                    await kv.delete(self._bus, AGENTS_BUCKET, self._key, expected=stored.seq)

    async def _send(self) -> None:
        payload = self._tell().encode()
        try:
            await self._put(payload)
            with contextlib.suppress(NatsError):  # only for display
                await self._bus.nc.publish(subjects.live_agent(self._name), payload)
        except QgjobError as error:
            level = logging.DEBUG if self._unheard else logging.WARNING  # it may be for a day
            log.log(level, "the heartbeat was not heard: %s", error)
            self._unheard = True
        else:
            self._unheard = False

    async def _put(self, payload: bytes) -> None:
        while self.twin is None:
            try:
                self._seq = await kv.put(
                    self._bus,
                    AGENTS_BUCKET,
                    self._key,
                    payload,
                    ttl_s=AGENT_TTL_S,
                    expected=self._seq,
                    timeout=2.0,
                )
            except JsError as error:
                if not lost_compare(error):
                    raise
                # The answer to our put was lost, the key expired, or another agent has it.
                stored = await self._stored()
                other = _read(stored)
                if other is not None and not _same_agent(other, self._tell()):
                    self.twin = _duplicate_name_error(self._name, other)
                    self.taken.set()
                self._seq = stored.seq if stored is not None else 0
            else:
                return

    async def _stored(self) -> Stored | None:
        return await kv.get(self._bus, AGENTS_BUCKET, self._key)

    async def _wait_for_silence(self, stored: Stored | None) -> Stored | None:
        """Wait whether the key's writer is alive: None when it writes again, else the key as it stands.

        One that was killed on another machine, or in a container, cannot be asked for its process.
        """
        until = time.monotonic() + 2 * HEARTBEAT_S + 1
        seq = stored.seq if stored is not None else 0
        while time.monotonic() < until:
            await asyncio.sleep(_CHANGE_S)
            stored = await self._stored()
            if _read(stored) is None:
                break
            if stored is not None and stored.seq != seq:
                return None
        return stored or Stored("", 0, b"", deleted=True)

    def _is_own_earlier(self, other: Heartbeat) -> bool:
        """Whether a former agent in this folder wrote it, which is gone, as we have the folder's lock."""
        with contextlib.suppress(OSError, *UNREADABLE):
            said: Any = json.loads(self._note.read_text())
            return (said["host"], said["pid"], said["started_at"]) == _identity(other)
        return False

    def _remember(self) -> None:
        host, pid, started_at = _identity(self._tell())
        try:
            self._note.write_text(json.dumps({"host": host, "pid": pid, "started_at": started_at}))
        except OSError as error:
            log.warning("%s: %s", self._note, error.strerror)


def _read(stored: Stored | None) -> Heartbeat | None:
    """The heartbeat of an agent that is not gone, if it is one."""
    if stored is None or stored.deleted:
        return None
    with contextlib.suppress(BadMessageError):
        found = Heartbeat.decode(stored.data)
        return None if found.state == "gone" else found
    return None


def _identity(beat: Heartbeat) -> tuple[str, int, float]:
    """Identifies one start of an agent; two machines may have the same host name."""
    return (beat.host, beat.pid, beat.started_at)


def _same_agent(one: Heartbeat | None, other: Heartbeat) -> bool:
    return one is not None and _identity(one) == _identity(other)


def _duplicate_name_error(name: str, other: Heartbeat) -> RefusedError:
    return RefusedError(
        f"An agent named {name} runs already on {other.host} (pid {other.pid}).",
        hint="Give this one another --name, or stop the other.",
    )
