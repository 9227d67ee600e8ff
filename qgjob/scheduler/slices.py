"""Do much without holding up the rest, such as the renewal of the leader's key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final, TypeVar

AT_ONCE: Final = 500

_Item = TypeVar("_Item")


async def slices(items: Sequence[_Item], size: int = AT_ONCE) -> AsyncGenerator[Sequence[_Item]]:
    """The items, `size` of them at a time; between two slices everything else has its turn."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
        await asyncio.sleep(0)
