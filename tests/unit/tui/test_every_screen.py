"""Every screen at three sizes, and at one in the light theme: empty, loading, cut off and read-only.

What each says stands in `pictures/every/`, a file for each state; lines that repeat are counted. The light
theme has to say the same as the dark one, on a light ground. After a change that is meant:
`UPDATE_PICTURES=1 pytest tests/unit/tui/test_every_screen.py`, and read the diff.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.strip import Strip

from tests.support.dashboard import PlayedDashboard, keys_shown, shown
from tests.support.lab.model import LabModel
from tests.support.pictures import UPDATE
from tests.support.wait import wait_for
from tui.app import DashboardApp
from tui.operations import catalog
from tui.screens.confirm import Confirm
from tui.screens.reading import Reading
from tui.themes import DARK, LIGHT
from tui.widgets.key_bar import KeyBar

FOLDER = Path(__file__).parent / "pictures" / "every"
SIZES = ((80, 24), (120, 40), (200, 60))
SIZES_OF = {DARK: SIZES, LIGHT: SIZES[1:2]}


def first_job(app: DashboardApp) -> str:
    return next(iter(app.index), "j_nobody")


def first_run(app: DashboardApp) -> str:
    return next((run.run_id for run in app.store.jobs.runs.latest()), "r_nobody")


def asked(app: DashboardApp) -> None:
    job = app.store.jobs.get(first_job(app))
    app.push_screen(Confirm(catalog.cancel([job] if job else [])))


def read(app: DashboardApp) -> None:
    reading = Reading("Why is it where it is?")
    reading.fail("The scheduler does not answer.")
    app.push_screen(reading)


SCREENS: dict[str, Callable[[DashboardApp], None]] = {
    "overview": lambda app: app.go_home(),
    "job": lambda app: app.open_job(first_job(app)),
    "logs": lambda app: app.open_logs([first_job(app), "j_another"]),
    "runs": lambda app: app.open_runs(),
    "run": lambda app: app.open_run(first_run(app)),
    "slots": lambda app: app.open_slots(),
    "alerts": lambda app: app.open_alerts(),
    "help": lambda app: app.action_help(),
    "question": asked,
    "answer": read,
}


def small_lab(*, read_only: bool = False) -> PlayedDashboard:
    played = PlayedDashboard(LabModel(seed=5, agents=2, slots=2, mean_test_s=9), read_only=read_only)
    played.play(40, keep_waiting=4, run_size=6)
    played.live()
    return played


def empty() -> PlayedDashboard:
    played = PlayedDashboard(LabModel(agents=0))
    played.publish_state()
    played.live()
    return played


def loading() -> PlayedDashboard:
    played = PlayedDashboard()
    played.store.link.set_phase("loading", played.clock.monotonic())
    return played


def cut_off() -> PlayedDashboard:
    played = small_lab()
    played.store.link.set_phase("reconnecting", played.clock.monotonic(), "The connection was lost.")
    played.clock.advance(20)
    return played


STATES: dict[str, Callable[[], PlayedDashboard]] = {
    "empty": empty,
    "loading": loading,
    "disconnected": cut_off,
    "read-only": lambda: small_lab(read_only=True),
}


async def taken(played: PlayedDashboard, pilot: Pilot[None]) -> list[Strip]:
    """The lines of the screen, as Textual sends them to the terminal."""
    played.store.link.changed = True
    played.draw()
    await pilot.pause()
    return played.app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]


def counted(lines: list[str]) -> list[str]:
    """Lines, each with how often it stands there."""
    return [f"{len(list(same)):2}|{line}|" for line, same in groupby(lines)]


def has_keys(app: DashboardApp) -> bool:
    return bool(keys_shown(app) or not app.screen.query(KeyBar))


def is_light(strips: list[Strip]) -> bool:
    """Whether most of the ground is nearer to white than to black."""
    bright = 0
    cells = 0
    for segment in (segment for strip in strips for segment in strip):
        ground = segment.style.bgcolor if segment.style else None
        assert ground is not None
        assert ground.triplet is not None
        cells += segment.cell_length
        bright += segment.cell_length * (sum(ground.triplet) > 3 * 127)
    return bright * 2 > cells


@pytest.mark.parametrize("state", STATES)
async def test_every_screen(state: str, tmp_path: Path) -> None:
    played = STATES[state]()
    app = played.app
    found: dict[str, dict[str, list[str]]] = {theme: {} for theme in SIZES_OF}
    async with shown(played, SIZES[0], DARK) as pilot:
        for theme, pictures in found.items():
            app.theme = theme
            for name, show in SCREENS.items():
                show(app)
                await wait_for(lambda: has_keys(app))
                for size in SIZES_OF[theme]:
                    await pilot.resize_terminal(*size)
                    await wait_for(lambda wanted=size: app.screen.size == wanted)
                    strips = await taken(played, pilot)
                    assert [strip.cell_length for strip in strips] == [size[0]] * size[1]
                    assert is_light(strips) == (theme == LIGHT)
                    said = [strip.text.rstrip() for strip in strips]
                    pictures[f"── {name} {size[0]}x{size[1]}"] = [*counted(said), ""]
                app.go_home()
    assert found[LIGHT] == {title: found[DARK][title] for title in found[LIGHT]}
    lines = [line for title, said in found[DARK].items() for line in (title, *said)]
    check(lines, FOLDER / f"{state}.txt", tmp_path)


def check(found: list[str], path: Path, tmp_path: Path) -> None:
    text = "\n".join(found)
    if os.environ.get(UPDATE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    actual = tmp_path / path.name
    actual.write_text(text, encoding="utf-8")
    wanted = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    assert found == wanted, f"{path.name} says something else; see {actual}, and {UPDATE}=1"
