"""The consumers of groups: made before a slot is bound, and as many as the server has room for.

Where it has no more, those that nobody uses go. Where jobs of all of them are out, further groups wait, and
placement is told how many there may be, and which are out in vain; it begins no others then. How many there
may be shows only by a refusal: the limit may be the stream's, the account's or the server's own. So now and
then it is tried whether there is room for one more, and only then a few more are begun.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bus_schemas import streams
from qgjob.bus.connect import Bus
from qgjob.bus.requester import JsError, RequestTimeoutError
from qgjob.bus.topology import TOO_MANY_CONSUMERS, consumer_names, create_consumer, delete_consumer
from qgjob.clock import Clock
from qgjob.domain.placement.events import Event, GroupsLimited, GroupsUnbound
from qgjob.domain.placement.model import GroupKey

log = logging.getLogger(__name__)

_CONFIRMED_S: Final = streams.GROUP_UNUSED_S / 6
_MAX_CONFIRMED: Final = 10_000
_MAX_CLEARED: Final = 500
_AT_ONCE: Final = 32
"""So many are made at once: a cluster takes 10 ms and more for each, and answers must come in time."""
_REFUSED_S: Final = 0.5
"""For so long nothing is asked of a server that has no room; placement is told meanwhile."""
_MORE_AFTER_S: Final = 10.0


@dataclass(slots=True)
class GroupConsumers:
    """Within one reign."""

    bus: Bus
    clock: Clock
    ack_wait_s: float
    """How long a lease on released work lasts."""
    in_use: Callable[[], Mapping[GroupKey, bool]]
    """The groups that slots are bound to, or whose jobs are out: True for these."""
    feed: Callable[[Event], None]
    limit: int | None = None
    """How many there may be at once, as far as a refusal has shown."""
    _confirmed: dict[str, float] = field(default_factory=dict[str, float])
    """Those that surely exist, and when that was made sure (monotonic)."""
    _refused: dict[GroupKey, None] = field(default_factory=dict[GroupKey, None])
    """In use without a consumer, the first first."""
    _refused_at: float = float("-inf")
    _raise_limit_at: float = 0.0
    _reported: tuple[int | None, frozenset[GroupKey]] = (None, frozenset())
    _creating: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _clearing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ensure(self, group: GroupKey) -> bool:
        """Make sure of a group's consumer; False while the server has no room for it."""
        name = streams.group_consumer_name(*group)
        now = self.clock.monotonic()
        if now - self._confirmed.get(name, -_CONFIRMED_S) < _CONFIRMED_S:
            return True
        # The server removes consumers that nobody uses. To create one that is there does nothing.
        config = streams.group_consumer(*group, self.ack_wait_s)
        if not await self._make_room_and_create(config, in_vain=group in self._refused):
            self._refused[group] = None
            return False
        self._refused.pop(group, None)
        self._confirmed[name] = now
        if len(self._confirmed) > _MAX_CONFIRMED:
            self._confirmed = {n: at for n, at in self._confirmed.items() if now - at < _CONFIRMED_S}
        return True

    def recheck(self, group: GroupKey) -> None:
        """A slot that was bound to a group does not pull there: its consumer may be gone."""
        self._confirmed.pop(streams.group_consumer_name(*group), None)

    async def report_limit(self) -> bool:
        """Tell placement how many groups there may be; whether that has to be looked at again soon."""
        in_use = self.in_use()
        for group in list(self._refused):
            if group not in in_use:
                del self._refused[group]
            elif not await self.ensure(group):
                break
        if self.limit is not None and not self._refused and await self._has_room():
            more = self.limit + max(1, self.limit // 10)
            self.limit = more if more < 2 * len(in_use) else None
        limit_and_refused = (self.limit, frozenset(self._refused))
        if limit_and_refused != self._reported:
            self._reported = limit_and_refused
            self.feed(GroupsLimited(*limit_and_refused))
        return self.limit is not None

    async def _has_room(self) -> bool:
        """Whether there is room for one more group, tried now and then."""
        now = self.clock.monotonic()
        if now <= self._raise_limit_at:
            return False
        self._raise_limit_at = now + _MORE_AFTER_S
        spare = streams.spare_consumer()
        try:
            if not await self._make_room_and_create(spare):
                return False
            await self._delete(spare["name"])
        except (JsError, RequestTimeoutError) as error:  # a try that nobody needs
            log.info("whether the server has room for one more group cannot be tried now: %s", error)
            return False
        return True

    async def _make_room_and_create(self, config: streams.ApiConfig, *, in_vain: bool = False) -> bool:
        """Make a consumer, at the cost of unused ones; `in_vain`: whether it was tried just before."""
        if not in_vain and await self._try_create(config):
            return True
        async with self._clearing:
            if self.clock.monotonic() - self._refused_at < _REFUSED_S:
                return False
            if await self._try_create(config):
                return True  # there is room since another group made some
            used = await self._clear_unused()
            if await self._try_create(config):
                return True
            if self.limit is None:
                log.warning(
                    "the server has room for the consumers of %d groups, of all of which jobs are out: "
                    "others wait (max_consumers of the account or of %s)",
                    used,
                    streams.WORK,
                )
            self.limit, self._refused_at = used, self.clock.monotonic()
            self._raise_limit_at = self._refused_at + _MORE_AFTER_S
            return False

    async def _try_create(self, config: streams.ApiConfig) -> bool:
        """Make a consumer; False when the stream has as many as it may have."""
        try:
            async with self._creating:
                await create_consumer(self.bus, streams.WORK, config)
        except JsError as error:
            if error.err_code != TOO_MANY_CONSUMERS:
                raise
            return False
        return True

    async def _clear_unused(self) -> int:
        """Delete consumers of groups that nobody uses now, or whose slots are idle; says how many stay.

        They are made again at the next bind.
        """
        there = {
            n for n in await consumer_names(self.bus, streams.WORK) if n.startswith(streams.GROUP_CONSUMERS)
        }
        in_use = {streams.group_consumer_name(*key): key for key in self.in_use()}
        gone = [name for name in there if name not in in_use][:_MAX_CLEARED]
        if not gone:
            out = self.in_use()
            idle = {name: key for name, key in in_use.items() if name in there and not out[key]}
            gone = list(idle)[:_MAX_CLEARED]
            self.feed(GroupsUnbound(tuple(idle[name] for name in gone)))
        if gone:
            log.info(
                "%d groups have a consumer, as many as there may be: %d unused go", len(there), len(gone)
            )
        for name in gone:
            self._confirmed.pop(name, None)
        await asyncio.gather(*(self._delete(name) for name in gone))
        return len(there) - len(gone)

    async def _delete(self, name: str) -> None:
        async with self._creating:
            await delete_consumer(self.bus, streams.WORK, name)
