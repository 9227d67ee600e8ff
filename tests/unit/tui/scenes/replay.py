"""Scenes of a replay."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from tests.support.lab.model import LabModel
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage
from tui.replay.replay import Replay
from tui.replay.tape import Moment, Tape
from tui.screens.overview import OverviewScreen


@functools.cache
def _tape() -> Tape:
    model = LabModel(seed=8, mean_test_s=12)
    tape = Tape()
    tape.record(Moment(e.at, n, e) for n, e in enumerate(model.play(300, keep_waiting=10), start=1))
    return tape


def a_replay() -> Replay:
    """Five minutes of another lab."""
    return Replay(_tape(), "")


def replays(
    seen: Callable[[Replay], bool], *, playing: bool = False
) -> Callable[[Stage, str], Awaitable[None]]:
    """A key is pressed two minutes into a tape, which stands still meanwhile unless `playing`."""

    async def tape_is_turned(s: Stage, key: str) -> None:
        replay = a_replay()
        replay.speed = 1.0
        replay.playing = playing
        s.app.show_replay(replay)
        replay.seek(replay.tape.begin + 120)
        # The pilot takes a process that gets no processor for an idle one, and would press too soon.
        await wait_for(lambda: drawn(s), 30, "the replay's screen")
        await s.press(key)
        await wait_for(lambda: seen(replay))

    return tape_is_turned


def drawn(s: Stage) -> bool:
    screen = s.app.screen
    return screen is not s.overview and isinstance(screen, OverviewScreen) and screen.jobs.lines_painted > 0


async def replay_ends(s: Stage, key: str) -> None:
    await replays(lambda _: s.app.replay is None)(s, key)
    assert s.app.store is s.played.store


def since_begin(replay: Replay) -> float:
    return replay.clock.at - replay.tape.begin
