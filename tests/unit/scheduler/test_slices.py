"""Much is done in parts, and others have their turn in between."""

from __future__ import annotations

import asyncio

from qgjob.scheduler.slices import slices


async def test_every_item_comes_once_and_in_order() -> None:
    assert [item async for some in slices(list(range(11)), 4) for item in some] == list(range(11))
    assert [list(some) async for some in slices(list[int](), 4)] == []


async def test_others_have_their_turn_between_two_slices() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    seen = [turns async for _ in slices(range(100), 10)]
    task.cancel()
    assert len(set(seen)) == len(seen) == 10
