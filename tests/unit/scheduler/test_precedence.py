"""Who is bound to another build goes first; nobody waits for that for ever."""

from __future__ import annotations

import asyncio

import pytest

from qgjob.scheduler.dispatch.precedence import Precedence
from tests.support.wait import wait_for


async def test_others_wait_until_all_that_are_bound_have_a_job() -> None:
    first = Precedence()
    first.bound("a/s0")
    first.bound("a/s1")
    told, begun = asyncio.create_task(first.until_told()), asyncio.create_task(first.until_begun())
    await asyncio.sleep(0)
    first.told("a/s0")
    first.told("a/s1")
    await told
    first.begun("a/s0")
    await asyncio.sleep(0)
    assert not begun.done()
    first.begun("a/s1")
    await begun


async def test_with_nobody_bound_nobody_waits() -> None:
    first = Precedence()
    for wait in (first.until_told, first.until_begun):
        waiting = wait()
        with pytest.raises(StopIteration):
            waiting.send(None)


async def test_a_slot_that_does_not_begin_is_not_waited_for_again() -> None:
    first = Precedence()
    first.bound("a/hung")
    waits = asyncio.create_task(first.until_begun())
    await wait_for(waits.done, 10, "the wait to be given up")
    again = first.until_begun()
    with pytest.raises(StopIteration):
        again.send(None)
