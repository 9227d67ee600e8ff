"""Publish into the work stream only while the fence is the one that this reign wrote.

On one server every message carries the fence, and all are in flight at once: an atomic batch would wait for
the disk several times. A stream with copies on several servers takes one such message at a time, and refuses
another whose expectation is about the same subject while it agrees on the first (nats-server 2.14 and later);
there, what came together goes as one atomic batch whose first message carries the fence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bus_schemas import subjects
from qgjob.bus.connect import Bus
from qgjob.bus.publish import OutMsg, expect, publish_batch, split
from qgjob.bus.publisher import publish_each


@dataclass(frozen=True, slots=True)
class Fence:
    """The fence of one reign: its place in the work stream, and on how many servers that is kept."""

    seq: int
    copies: int = 1

    async def publish(self, bus: Bus, messages: list[OutMsg]) -> None:
        """Store messages behind the fence.

        Raises `JsError`, for which `lost_compare` holds when another leader wrote the fence; some of the
        messages may be stored then.
        """
        fenced = expect(self.seq, subjects.WORK_FENCE)
        if self.copies == 1:
            await publish_each(bus, [replace(message, headers=fenced) for message in messages])
            return
        for first, *rest in split(messages):
            await publish_batch(bus, [replace(first, headers=fenced), *rest])
