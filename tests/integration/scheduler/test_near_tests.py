"""A test whose name was mistyped is looked for among all of them without holding up the leader."""

from __future__ import annotations

import asyncio
import difflib

import pytest

from bus_schemas import subjects
from qgjob.bus.connect import Bus
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import publish_each
from qgjob.scheduler.queries.test_history import near_tests

TESTS = 2000


async def test_others_have_their_turn_meanwhile(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"tests/e2e/{n % 7}/cart_{n:04}.spec.ts" for n in range(TESTS)]
    for start in range(0, TESTS, 500):
        some = names[start : start + 500]
        await publish_each(bus, [OutMsg(subjects.history("acme", name), b"{}") for name in some])
    compared, turns = list[int](), 0
    close = difflib.get_close_matches

    def counting(word: str, possibilities: list[str], n: int = 3) -> list[str]:
        compared.append(turns)
        return close(word, possibilities, n=n)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(difflib, "get_close_matches", counting)
    running = asyncio.create_task(others())
    try:
        found = await near_tests(bus, "tests/e2e/3/crat_1046.spec.ts", "acme")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    monkeypatch.undo()
    assert found[0] == close("tests/e2e/3/crat_1046.spec.ts", sorted(names), n=1)[0]
    assert turns - compared[0] >= TESTS // 100, "it was done at one go"
