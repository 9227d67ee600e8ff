"""Handles many items in slices, so that other tasks run in between, such as renewing the leader's key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

AT_ONCE: Final = 500
"""Items of a slice, unless it says otherwise: some milliseconds of work."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


async def slices(items: Sequence[_Item], size: int = AT_ONCE) -> AsyncGenerator[Sequence[_Item]]:
    """The items, `size` of them at a time; between two slices everything else has its turn."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
        await asyncio.sleep(0)


async def gathered(
    items: Sequence[_Item], act: Callable[[_Item], Awaitable[_Result]], size: int = AT_ONCE
) -> list[_Result]:
    """What comes of acting on each item, in their order; a slice of them is acted on at a time."""
    results: list[_Result] = []
    async for some in slices(items, size):
        results += await asyncio.gather(*map(act, some))
    return results
