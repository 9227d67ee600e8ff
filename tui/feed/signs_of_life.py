"""A message that comes back, sent at intervals: so silence, death and a slow link can be told apart."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Final

from qgjob.bus import NatsError
from qgjob.errors import QgjobError

if TYPE_CHECKING:
    from qgjob.client import Client
    from tui.store.store import Store

_EVERY_S: Final = 2.0
_TIMEOUT_S: Final = 60.0
"""Over a link that is too slow an answer comes late; a server that is gone is noticed by its silence."""
_DENIED_SUBSCRIPTION: Final = re.compile('subscription to "([^"]+)"')


async def watch(client: Client, store: Store) -> None:
    """Tell the store's link how the connection is, until cancelled."""
    told: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            if client.connected:  # over a slow link the answer to the last one may still be on its way
                group.create_task(_round_trip(client, store), name="a ping")
            _tell_denied(client, store, told)
            await asyncio.sleep(_EVERY_S)


async def _round_trip(client: Client, store: Store) -> None:
    link, clock = store.link, store.clock
    sent_at = clock.monotonic()
    link.record_ping(sent_at)
    # What fails here is seen as silence, and as a reconnect soon.
    with contextlib.suppress(QgjobError, OSError, NatsError):
        await client.bus.requests.round_trip(timeout=_TIMEOUT_S)
        link.record_pong(sent_at, clock.monotonic())
        link.record_activity(clock.monotonic())


def _tell_denied(client: Client, store: Store, told: set[str]) -> None:
    """Say what may not be heard, which would only be missed: who asks for what is not allowed is told so.

    Credentials that may not publish into their own inbox are refused each ping: an answer as well.
    """
    found = {match[1] for text in client.bus.denied if (match := _DENIED_SUBSCRIPTION.search(text))}
    for subject in sorted(found - told):
        told.add(subject)
        store.link.add_notice(f"These credentials may not hear {subject}: it is shown as it was.")
