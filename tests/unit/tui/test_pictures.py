"""How the screens look, at three sizes, in three themes, full, empty and cut off.

Stored as grids of characters and styles (`pictures/`). After a change that is meant:
`UPDATE_PICTURES=1 pytest tests/unit/tui/test_pictures.py`, and read the diff.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.support.dashboard import PlayedDashboard, keys_shown, shown
from tests.support.lab.model import LabModel
from tests.support.pictures import compare
from tests.support.wait import wait_for
from tui.screens.job import JobScreen
from tui.store.filter import parse_filter
from tui.widgets.key_bar import KeyBar

PICTURES = Path(__file__).parent / "pictures"
SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)

Before = Callable[[PlayedDashboard, Pilot[None]], Awaitable[None]]


def busy(*, read_only: bool = False) -> PlayedDashboard:
    played = PlayedDashboard(
        LabModel(seed=11, agents=3, slots=5, mean_test_s=20, install_s=8), read_only=read_only
    )
    played.play(180, keep_waiting=90, run_size=30)
    played.live()
    return played


async def settled(played: PlayedDashboard, pilot: Pilot[None]) -> None:
    """Until footer and panels are laid out and drawn."""
    await wait_for(lambda: keys_shown(played.app) or not played.app.screen.query(KeyBar))
    await pilot.pause()
    played.store.link.changed = True
    played.draw()
    await pilot.pause()


async def taken(
    name: str,
    size: tuple[int, int],
    tmp_path: Path,
    *,
    played: PlayedDashboard | None = None,
    theme: str | None = None,
    before: Before | None = None,
) -> None:
    played = played or busy()
    async with shown(played, size, theme) as pilot:
        if before is not None:
            await before(played, pilot)
        await settled(played, pilot)
        compare(played.app.export_screenshot(), PICTURES / f"{name}.txt", tmp_path)


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_overview(size: tuple[int, int], tmp_path: Path) -> None:
    await taken(f"overview-{size[0]}x{size[1]}", size, tmp_path)


@pytest.mark.parametrize("theme", ["qgjob-light", "ansi-dark", "ansi-light"])
async def test_overview_in_other_themes(theme: str, tmp_path: Path) -> None:
    await taken(f"overview-{theme}", MIDDLE, tmp_path, theme=theme)


async def test_overview_without_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    await taken("overview-no-color", SMALL, tmp_path)


@pytest.mark.parametrize("size", [SMALL, MIDDLE], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_empty(size: tuple[int, int], tmp_path: Path) -> None:
    played = PlayedDashboard(LabModel(agents=0))
    played.publish_state()
    played.live()
    await taken(f"empty-{size[0]}x{size[1]}", size, tmp_path, played=played)


async def test_no_server(tmp_path: Path) -> None:
    played = PlayedDashboard()
    played.store.link.set_phase(
        "connecting",
        played.clock.monotonic(),
        "Nothing listens at nats://lab.example:4222.",
        "Start the system with `qgjob up`, or name a server with --server (or QGJOB_SERVER).",
    )
    played.clock.advance(7)
    await taken("no-server", MIDDLE, tmp_path, played=played)


async def test_cut_off(tmp_path: Path) -> None:
    async def lose(played: PlayedDashboard, pilot: Pilot[None]) -> None:
        played.store.link.set_phase("reconnecting", played.clock.monotonic(), "The connection was lost.")
        played.clock.advance(20)

    await taken("reconnecting", MIDDLE, tmp_path, before=lose)


async def test_stale_and_read_only(tmp_path: Path) -> None:
    async def wait(played: PlayedDashboard, pilot: Pilot[None]) -> None:
        played.clock.advance(9)

    await taken("stale-read-only", SMALL, tmp_path, played=busy(read_only=True), before=wait)


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_job(size: tuple[int, int], tmp_path: Path) -> None:
    async def open_job(played: PlayedDashboard, pilot: Pilot[None]) -> None:
        tried_twice = next(
            i for i in played.app.index if (j := played.store.jobs.get(i)) and j.attempt > 1 and j.ended
        )
        played.app.open_job(tried_twice)
        screen = played.app.screen
        assert isinstance(screen, JobScreen)
        await wait_for(lambda: screen.query("#log"))
        await pilot.pause()
        played.fill_log(screen.log_view.buffer, tried_twice, bad=True)

    await taken(f"job-{size[0]}x{size[1]}", size, tmp_path, before=open_job)


async def test_filtered_and_marked(tmp_path: Path) -> None:
    async def select(played: PlayedDashboard, pilot: Pilot[None]) -> None:
        played.app.show_jobs(filter=parse_filter("state:bad"))
        await pilot.press("space", "down", "space")

    await taken("filtered", MIDDLE, tmp_path, before=select)


async def test_agents_alone(tmp_path: Path) -> None:
    async def zoom(played: PlayedDashboard, pilot: Pilot[None]) -> None:
        await pilot.press("2", "2")

    await taken("agents", MIDDLE, tmp_path, before=zoom)


@pytest.mark.parametrize("size", [SMALL, MIDDLE], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_help(size: tuple[int, int], tmp_path: Path) -> None:
    async def ask(played: PlayedDashboard, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")

    await taken(f"help-{size[0]}x{size[1]}", size, tmp_path, before=ask)


async def test_question(tmp_path: Path) -> None:
    async def ask(played: PlayedDashboard, pilot: Pilot[None]) -> None:
        played.app.show_jobs(filter=parse_filter("state:running"))
        await pilot.press("space", "space", "c")

    await taken("question", MIDDLE, tmp_path, before=ask)


@pytest.mark.parametrize("screen", ["runs", "slots"])
async def test_all_runs_and_all_slots(screen: str, tmp_path: Path) -> None:
    async def show(played: PlayedDashboard, pilot: Pilot[None]) -> None:
        await pilot.press({"runs": "5", "slots": "6"}[screen])

    await taken(screen, MIDDLE, tmp_path, before=show)


async def test_run_with_its_metadata(tmp_path: Path) -> None:
    async def show(played: PlayedDashboard, pilot: Pilot[None]) -> None:
        played.open_failed_run()

    await taken("run", MIDDLE, tmp_path, before=show)
    assert "branch=main   commit=4f1c2ab   pr=1287" in (PICTURES / "run.txt").read_text()


async def test_explanation(tmp_path: Path) -> None:
    async def show(played: PlayedDashboard, pilot: Pilot[None]) -> None:
        played.explain_waiting()

    await taken("explain", MIDDLE, tmp_path, before=show)
