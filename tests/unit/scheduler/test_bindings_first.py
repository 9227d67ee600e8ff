"""Who is bound to another build goes first; nobody waits for that for ever."""

from __future__ import annotations

import asyncio

import pytest

from qgjob.scheduler.dispatch.bindings_first import BindingsFirst
from tests.support.wait import wait_for


async def test_others_wait_until_all_that_are_bound_have_a_job() -> None:
    first = BindingsFirst()
    first.on_bound("a/s0")
    first.on_bound("a/s1")
    told, begun = (
        asyncio.create_task(first.until_bindings_sent()),
        asyncio.create_task(first.until_jobs_started()),
    )
    await asyncio.sleep(0)
    first.on_binding_sent("a/s0")
    first.on_binding_sent("a/s1")
    await told
    first.on_started("a/s0")
    await asyncio.sleep(0)
    assert not begun.done()
    first.on_started("a/s1")
    await begun


async def test_with_nobody_bound_nobody_waits() -> None:
    first = BindingsFirst()
    for wait in (first.until_bindings_sent, first.until_jobs_started):
        waiting = wait()
        with pytest.raises(StopIteration):
            waiting.send(None)


async def test_a_slot_that_does_not_begin_is_not_waited_for_again() -> None:
    first = BindingsFirst()
    first.on_bound("a/hung")
    waits = asyncio.create_task(first.until_jobs_started())
    await wait_for(waits.done, 10, "the wait to be given up")
    again = first.until_jobs_started()
    with pytest.raises(StopIteration):
        again.send(None)
