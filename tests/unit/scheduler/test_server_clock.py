"""The server's clock is read right though the first questions were lost."""

from __future__ import annotations

from typing import Any, cast

import pytest

from qgjob.scheduler.leadership import server_clock
from qgjob.scheduler.leadership.server_clock import ServerClock
from tests.support.clock import ManualClock


async def test_an_answer_to_the_last_of_several_questions_is_of_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = ManualClock()
    clock = ServerClock(cast("Any", None), own)

    async def after_four_lost_questions(_bus: object, _stream: str) -> float:
        own.advance(4.1)
        return 1_000.0

    monkeypatch.setattr(server_clock, "read_server_time", after_four_lost_questions)
    await clock.synchronise()
    assert clock.now() == pytest.approx(1_000.0, abs=0.6)
