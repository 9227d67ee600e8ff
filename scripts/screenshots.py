"""Write the pictures of the dashboard into docs/images: the real app, on a lab that is played.

    python scripts/screenshots.py [FOLDER]

The play has a fixed seed and a clock of its own, so the same code gives the same pictures.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from textual.pilot import Pilot  # noqa: E402

from tests.support.dashboard import PlayedDashboard, keys_shown, shown  # noqa: E402
from tests.support.lab.model import LabModel  # noqa: E402
from tests.support.wait import wait_for  # noqa: E402
from tui.replay.replay import Replay  # noqa: E402
from tui.replay.tape import Moment, Tape  # noqa: E402
from tui.screens.job import JobScreen  # noqa: E402
from tui.screens.logs import LogsScreen  # noqa: E402
from tui.store.filter import parse_filter  # noqa: E402
from tui.widgets.key_bar import KeyBar  # noqa: E402

Scene = Callable[[PlayedDashboard, Pilot[None]], Awaitable[None]]

SMALL, MIDDLE, WIDE = (80, 24), (120, 40), (200, 60)
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def lab() -> PlayedDashboard:
    """A lab of four machines on a busy morning."""
    model = LabModel(seed=23, agents=4, slots=5, mean_test_s=16, install_s=7)
    model.lab[3].state, model.lab[3].note = "quarantined", "fails everything quickly"
    model.lab[13].state, model.lab[13].note = "paused", "battery 12 %"
    played = PlayedDashboard(model)
    played.play(900, run_size=22, every_s=18)
    urgent = played.model.submit(9, priority=9, build="v2.5.0-rc1")
    for event in urgent:
        played.apply_event(event)
    played.play(3, run_size=22, every_s=18)
    played.live()
    return played


async def nothing(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """The overview as it is."""


async def a_failed_job(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """The job that failed most often, and its log."""
    jobs = [j for i in played.app.index if (j := played.store.jobs.get(i)) and j.state == "failed"]
    job_id = max(jobs, key=lambda job: (job.attempt, job.job_id)).job_id
    played.app.open_job(job_id)
    screen = played.app.screen
    assert isinstance(screen, JobScreen)
    await wait_for(lambda: screen.query("#log"))
    await pilot.pause()
    played.fill_log(screen.log_view.buffer, job_id, bad=True)


async def failures(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """Only what went wrong."""
    del pilot
    played.app.show_jobs(filter=parse_filter("state:bad"))


async def agents(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """The agents alone."""
    del played
    await pilot.press("2", "2")


async def question(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """What is asked before something is cancelled."""
    played.app.show_jobs(filter=parse_filter("state:running"))
    await pilot.press("space", "space", "c")


async def keys(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """The help."""
    del played
    await pilot.press("question_mark")


async def runs(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """All runs."""
    del played
    await pilot.press("5")


async def slots(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """All slots."""
    del played
    await pilot.press("6")


async def a_run(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """A run, its failures first."""
    del pilot
    played.open_failed_run()


async def explained(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """Why a job waits."""
    del pilot
    played.explain_waiting()


async def several_logs(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """The output of three jobs as one, with what is looked for marked."""
    at_work = [i for i in played.app.index if (j := played.store.jobs.get(i)) and j.state == "running"][:3]
    played.app.open_logs(at_work)
    screen = played.app.screen
    assert isinstance(screen, LogsScreen)
    await wait_for(lambda: screen.query("#log"))
    await pilot.pause()
    chunks = [(source, played.log_of(job_id)) for source, job_id in enumerate(at_work)]
    for turn in range(max(len(log) for _, log in chunks)):
        for source, log in chunks:
            if turn < len(log):
                screen.log_view.buffer.add(log[turn], source)
    screen.log_view.find("passed")
    await pilot.press("t")


async def in_the_past(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """A replay, paused."""
    model = LabModel(seed=23, agents=4, slots=5, mean_test_s=16, install_s=7)
    tape = Tape()
    events = model.play(900, run_size=22, every_s=18)
    tape.record(Moment(event.at, seq, event) for seq, event in enumerate(events, start=1))
    replay = Replay(tape, "nats://lab.example:4222")
    played.app.show_replay(replay)
    for _ in range(100):
        played.draw()
    replay.toggle()
    await pilot.pause()


async def palette(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """What the palette finds for some letters."""
    await pilot.press("ctrl+p")
    await wait_for(lambda: played.app.screen.query("CommandInput"))
    await pilot.press(*"login")
    await wait_for(lambda: played.app.screen.query("CommandList"))


PICTURES: tuple[tuple[str, tuple[int, int], str, Scene], ...] = (
    ("tui-overview", MIDDLE, "qgjob-dark", nothing),
    ("tui-overview-light", MIDDLE, "qgjob-light", nothing),
    ("tui-overview-wide", WIDE, "qgjob-dark", nothing),
    ("tui-overview-small", SMALL, "qgjob-dark", nothing),
    ("tui-job", MIDDLE, "qgjob-dark", a_failed_job),
    ("tui-failures", MIDDLE, "qgjob-dark", failures),
    ("tui-agents", MIDDLE, "qgjob-dark", agents),
    ("tui-cancel", MIDDLE, "qgjob-dark", question),
    ("tui-help", MIDDLE, "qgjob-dark", keys),
    ("tui-runs", MIDDLE, "qgjob-dark", runs),
    ("tui-run", MIDDLE, "qgjob-dark", a_run),
    ("tui-slots", MIDDLE, "qgjob-dark", slots),
    ("tui-explain", MIDDLE, "qgjob-dark", explained),
    ("tui-logs", MIDDLE, "qgjob-dark", several_logs),
    ("tui-replay", MIDDLE, "qgjob-dark", in_the_past),
    ("tui-palette", MIDDLE, "qgjob-dark", palette),
)


async def take(name: str, size: tuple[int, int], theme: str, scene: Scene, folder: Path) -> Path:
    """Write one picture."""
    played = lab()
    async with shown(played, size, theme) as pilot:
        await scene(played, pilot)
        await wait_for(lambda: keys_shown(played.app) or not played.app.screen.query(KeyBar))
        await pilot.pause(0.3)
        played.store.link.changed = True
        played.draw()
        await pilot.pause(0.3)
        svg = played.app.export_screenshot(title="qgjob tui")
    path = folder / f"{name}.svg"
    # No font is fetched from anywhere when somebody looks at a picture.
    path.write_text(_FONT_FACE.sub("", svg), encoding="utf-8")
    return path


async def main(folder: Path) -> None:
    """Write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size, theme, scene in PICTURES:
        print(await take(name, size, theme, scene, folder))


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    os.environ.pop("NO_COLOR", None)
    time.tzset()
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"))
