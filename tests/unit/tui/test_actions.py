"""Every action of the table is done by its key; help, footer and palette tell of the same ones."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.binding import Binding, BindingsMap
from textual.css.query import NoMatches
from textual.pilot import Pilot
from textual.widgets import Input
from textual.widgets._footer import FooterKey

from bus_schemas.requests import StoredChunk
from tests.support.dashboard import PlayedDashboard, shown, text_of
from tests.support.lab.model import LabModel
from tests.support.wait import wait_for
from tui.actions import ACTIONS, Action, Scope, actions_of, bindings, key_text, mutating
from tui.commands import ActionProvider
from tui.replay import Replay
from tui.screens.confirm import Confirm
from tui.screens.help import HelpScreen
from tui.screens.job import JobScreen
from tui.screens.logs import LogsScreen
from tui.screens.overview import OverviewScreen
from tui.screens.reading import Reading
from tui.screens.runs import RunScreen, RunsScreen
from tui.screens.slots import SlotsScreen
from tui.store.filter import parse_filter
from tui.tape import Moment, Tape
from tui.themes import DARK, LIGHT
from tui.widgets.agent_table import AgentTable
from tui.widgets.group_table import GroupTable
from tui.widgets.job_table import JobTable
from tui.widgets.line_bar import CommandBar, FilterBar, FindBar
from tui.widgets.log_view import LogView
from tui.widgets.queue_panel import QueuePanel
from tui.widgets.run_table import RunTable
from tui.widgets.slot_table import SlotTable


class Stage:
    """A dashboard on a screen, and shorthands for what is on it."""

    def __init__(self, played: PlayedDashboard, pilot: Pilot[None]) -> None:
        self.played = played
        self.pilot = pilot
        self.app = played.app

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    @property
    def overview(self) -> OverviewScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, OverviewScreen)
        return screen

    @property
    def jobs(self) -> JobTable:
        return self.overview.jobs

    def running(self) -> str:
        return next(i for i in self.app.index if (j := self.app.store.jobs.get(i)) and j.state == "running")

    async def open(self, job_id: str | None = None) -> LogView:
        """Open a job, with a log of 200 lines."""
        job_id = job_id or self.running()
        self.app.open_job(job_id)
        await wait_for(lambda: isinstance(self.app.screen, JobScreen) and self.app.screen.query("#log"))
        await self.pilot.pause()
        screen = self.app.screen
        assert isinstance(screen, JobScreen)
        self.write(screen.log_view, 1, 200)
        return screen.log_view

    def write(self, view: LogView, seq: int, lines: int) -> None:
        first = view.buffer.end
        text = "".join(f"line {first + i}\n" for i in range(lines))
        view.buffer.add(StoredChunk(stream_seq=seq, attempt=1, at=1.76e9, parts=(("out", text),)))
        self.played.draw()


def stage() -> PlayedDashboard:
    played = PlayedDashboard(LabModel(seed=4, mean_test_s=15))
    played.play(60)
    played.live()
    return played


# --- What each action does: pressed by its keys, seen by its effect ------------------------------


async def help_shows_all_keys(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, HelpScreen))
    await s.press("escape")
    await wait_for(lambda: isinstance(s.app.screen, OverviewScreen))


async def palette_opens(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: type(s.app.screen).__name__ == "CommandPalette")


async def theme_changes(s: Stage, key: str) -> None:
    await wait_for(lambda: s.app.theme == DARK)
    await s.press(key)
    await wait_for(lambda: s.app.theme == LIGHT)


async def picture_is_saved(s: Stage, key: str) -> None:
    await s.press(key)
    found = await wait_for(lambda: list(Path.cwd().glob("*.svg")))
    await wait_for(lambda: "<svg" in found[0].read_text())


async def everything_is_read_again(s: Stage, key: str) -> None:
    asked: list[str] = []
    s.app._feed = SimpleNamespace(read_again=asked.append)  # type: ignore[assignment]
    await s.press(key)
    await wait_for(lambda: asked == ["Everything was read again."])


async def it_quits(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: s.app.return_code == 0)


def panel(
    kind: type[QueuePanel | JobTable | AgentTable | GroupTable],
) -> Callable[[Stage, str], Awaitable[None]]:
    async def goes_to_a_panel(s: Stage, key: str) -> None:
        s.overview.set_focus(None)
        await s.press(key)
        await wait_for(lambda: isinstance(s.overview.focused, kind))
        await wait_for(lambda: len([w for w in s.overview.query("#panels > *") if w.display]) == 4)
        await s.press(key)
        await wait_for(lambda: [type(w) for w in s.overview.query("#panels > *") if w.display] == [kind])
        await s.press(key)
        await wait_for(lambda: len([w for w in s.overview.query("#panels > *") if w.display]) == 4)

    return goes_to_a_panel


async def zoom_shows_one_panel(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: [w.id for w in s.overview.query("#panels > *") if w.display] == ["jobs"])
    await s.press(key)
    await wait_for(lambda: len([w for w in s.overview.query("#panels > *") if w.display]) == 4)


async def filter_filters(s: Stage, key: str) -> None:
    before = len(s.app.index)
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen.focused, Input))
    await s.press(*"state:running")
    await wait_for(lambda: 0 < len(s.app.index) < before)
    await s.press("enter")
    await wait_for(lambda: s.jobs.has_focus and not s.overview.query(FilterBar))
    await wait_for(lambda: "/state:running" in text_of(s.played))
    await s.press("escape")
    await wait_for(lambda: len(s.app.index) == before)


async def order_changes(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: s.app.index.order == "work")
    await wait_for(lambda: s.app.index[0] == s.jobs.cursor_id)


async def cancel_asks_and_cancels(s: Stage, key: str) -> None:
    job_id = s.running()
    s.jobs.move_to_id(job_id)
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, Confirm))
    await wait_for(lambda: f"$ qgjob cancel {job_id}" in text_of(s.played))
    await s.press("n")
    await wait_for(lambda: not s.app.cancelled)
    await s.press(key, "y")
    await wait_for(lambda: s.app.cancelled == [job_id])


def asks(verb: str, *, ended: bool, in_job: bool, typed: str = "") -> Callable[[Stage, str], Awaitable[None]]:
    async def asks_and_does(s: Stage, key: str) -> None:
        job_id = next(i for i in s.app.index if (j := s.app.store.jobs.get(i)) and j.ended == ended)
        if in_job:
            await s.open(job_id)
        else:
            s.jobs.move_to_id(job_id)
        await s.press(key)
        await wait_for(lambda: isinstance(s.app.screen, Confirm))
        await wait_for(lambda: f"$ qgjob {verb} {job_id}" in text_of(s.played))
        await s.press(*typed, "enter" if typed else "y")
        await wait_for(
            lambda: [(d.verb, d.targets, d.argument) for d in s.app.deeds] == [(verb, (job_id,), typed)]
        )

    return asks_and_does


async def copies(s: Stage, key: str) -> None:
    s.jobs.move_to(3)
    await s.press(key)
    await wait_for(lambda: s.app.clipboard == s.jobs.cursor_id)


async def back_undoes_step_by_step(s: Stage, key: str) -> None:
    s.app.show_jobs(filter=parse_filter("state:running"))
    await s.press("z", "space")
    await s.press(key)
    await wait_for(lambda: not s.jobs.marks)
    await wait_for(lambda: s.app.index.filter)
    await s.press(key)
    await wait_for(lambda: not s.app.index.filter)
    await wait_for(lambda: not s.overview.query_one("#queue").display)
    await s.press(key)
    await wait_for(lambda: s.overview.query_one("#queue").display)


async def job_cancel_asks(s: Stage, key: str) -> None:
    job_id = s.running()
    await s.open(job_id)
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, Confirm))
    await s.press("y")
    await wait_for(lambda: s.app.cancelled == [job_id])


async def job_copies(s: Stage, key: str) -> None:
    job_id = s.running()
    await s.open(job_id)
    await s.press(key)
    await wait_for(lambda: s.app.clipboard == job_id)


async def next_job_is_shown(s: Stage, key: str) -> None:
    await s.open(s.app.index[0])
    await s.press(key)
    screen = s.app.screen
    assert isinstance(screen, JobScreen)
    await wait_for(lambda: screen.job_id == s.app.index[1])
    await wait_for(lambda: len(screen.log_view.buffer) == 0)


async def previous_job_is_shown(s: Stage, key: str) -> None:
    await s.open(s.app.index[1])
    await s.press(key)
    screen = s.app.screen
    assert isinstance(screen, JobScreen)
    await wait_for(lambda: screen.job_id == s.app.index[0])


async def job_goes_back(s: Stage, key: str) -> None:
    await s.open(s.app.index[5])
    await s.press(key)
    await wait_for(lambda: s.app.screen is s.overview)
    await wait_for(lambda: s.jobs.cursor_id == s.app.index[5])


async def open_opens(s: Stage, key: str) -> None:
    job_id = s.jobs.cursor_id
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, JobScreen) and s.app.screen.job_id == job_id)


def cursor(keys_before: str, row: Callable[[Stage], int]) -> Callable[[Stage, str], Awaitable[None]]:
    async def cursor_moves(s: Stage, key: str) -> None:
        await s.press(*keys_before.split(), key)
        await wait_for(lambda: s.app.index.row_of(s.jobs.cursor_id or "") == row(s))

    return cursor_moves


async def mark_marks(s: Stage, key: str) -> None:
    first = s.jobs.cursor_id
    await s.press(key)
    await wait_for(lambda: s.jobs.marks == {first})
    await wait_for(lambda: s.app.index.row_of(s.jobs.cursor_id or "") == 1)
    await s.press("k", key)
    await wait_for(lambda: not s.jobs.marks)


async def mark_all_marks_what_matches(s: Stage, key: str) -> None:
    s.app.show_jobs(filter=parse_filter("state:queued"))
    await s.press(key)
    await wait_for(lambda: s.jobs.marks == set(s.app.index) and len(s.jobs.marks) > 1)


async def unmark_all_unmarks(s: Stage, key: str) -> None:
    await s.press("space", "space", "space")
    await wait_for(lambda: len(s.jobs.marks) == 3)
    await s.press(key)
    await wait_for(lambda: not s.jobs.marks)


async def follow_toggles(s: Stage, key: str) -> None:
    log = await s.open()
    await wait_for(lambda: log.following)
    await s.press(key)
    await wait_for(lambda: not log.following)
    s.write(log, 2, 10)
    await wait_for(lambda: log.new_below == 10)
    await s.press(key)
    await wait_for(lambda: log.top + log.size.height == log.buffer.end)


async def times_are_shown(s: Stage, key: str) -> None:
    await s.open()
    await wait_for(lambda: "08:53:20 line" not in text_of(s.played))
    await s.press(key)
    await wait_for(lambda: "08:53:20 line" in text_of(s.played))


def log_moves(keys_before: str, top: Callable[[LogView], int]) -> Callable[[Stage, str], Awaitable[None]]:
    async def log_is_read(s: Stage, key: str) -> None:
        log = await s.open()
        await s.press(*keys_before.split(), key)
        await wait_for(lambda: log.top == top(log))
        await wait_for(lambda: log.following == (log.top + log.size.height >= log.buffer.end))

    return log_is_read


def log_aside(keys_before: str, text: str) -> Callable[[Stage, str], Awaitable[None]]:
    async def log_is_moved_aside(s: Stage, key: str) -> None:
        log = await s.open()
        log.buffer.add(
            StoredChunk(stream_seq=9, attempt=1, at=1.0, parts=(("out", "0123456789abcdefghij" * 40 + "\n"),))
        )
        await s.press(*keys_before.split(), key)
        await wait_for(lambda: f"│   {text}" in text_of(s.played))

    return log_is_moved_aside


async def runs_are_shown(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, RunsScreen) and "PROGRESS" in text_of(s.played))
    await s.press("enter")
    await wait_for(lambda: isinstance(s.app.screen, RunScreen) and s.app.screen.query("#jobs"))


async def slots_are_shown(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, SlotsScreen) and "lab-1/s0" in text_of(s.played))


async def commands_are_typed(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: s.app.screen.query(CommandBar))
    await s.press(*"order", "space", *"test", "enter")
    await wait_for(lambda: s.app.index.order == "test" and not s.app.screen.query(CommandBar))


async def slots_screen(s: Stage) -> SlotTable:
    await s.press("6")
    await wait_for(lambda: isinstance(s.app.screen, SlotsScreen) and s.app.screen.query("#slots"))
    await s.pilot.pause()
    screen = s.app.screen
    assert isinstance(screen, SlotsScreen)
    return screen.table


async def list_filters(s: Stage, key: str) -> None:
    table = await slots_screen(s)
    before = len(table.ids())
    await s.press(key)
    await s.press(*"lab-2", "enter")
    await wait_for(lambda: 0 < len(table.ids()) < before)


async def list_copies(s: Stage, key: str) -> None:
    table = await slots_screen(s)
    await s.press(key)
    await wait_for(lambda: s.app.clipboard == table.cursor_id)


async def list_goes_back(s: Stage, key: str) -> None:
    table = await slots_screen(s)
    table.want("lab-2")
    await s.press(key)
    await wait_for(lambda: table.wanted == "")
    await s.press(key)
    await wait_for(lambda: s.app.screen is s.overview)


async def trouble_comes_first(s: Stage, key: str) -> None:
    table = await slots_screen(s)
    s.played.model.lab[5].state = "quarantined"
    s.played.play(1)
    s.played.draw()
    await s.press(key)
    await wait_for(lambda: table.ids()[0] == f"{s.played.model.lab[5].agent}/{s.played.model.lab[5].name}")


def holds(verb: str) -> Callable[[Stage, str], Awaitable[None]]:
    async def asks_and_holds(s: Stage, key: str) -> None:
        table = await slots_screen(s)
        await s.press("j", key)
        await wait_for(lambda: isinstance(s.app.screen, Confirm))
        await wait_for(lambda: f"$ qgjob agents {verb} lab-1/s1" in text_of(s.played))
        await s.press(
            *([] if verb == "resume" else ["o", "k", "enter"]), *(["y"] if verb == "resume" else [])
        )
        said = "" if verb == "resume" else "ok"
        wanted = [(f"agents {verb}", (table.cursor_id,), said)]
        await wait_for(lambda: [(d.verb, d.targets, d.argument) for d in s.app.deeds] == wanted)

    return asks_and_holds


async def something_is_read(s: Stage, key: str) -> None:
    await s.open()
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, Reading))
    screen = s.app.screen
    assert isinstance(screen, Reading)
    screen.show(lambda _: [(("because of the labels", ""),)])
    await wait_for(lambda: "because of the labels" in text_of(s.played))
    await s.press("escape")
    await wait_for(lambda: isinstance(s.app.screen, JobScreen))


async def logs_screen(s: Stage) -> LogView:
    s.app.open_logs([s.app.index[0], s.app.index[1]])
    await wait_for(lambda: isinstance(s.app.screen, LogsScreen) and s.app.screen.query("#log"))
    await s.pilot.pause()
    screen = s.app.screen
    assert isinstance(screen, LogsScreen)
    return screen.log_view


def finds(several: bool) -> Callable[[Stage, str], Awaitable[None]]:
    async def text_is_found(s: Stage, key: str) -> None:
        view = await (logs_screen(s) if several else s.open())
        s.write(view, 50, 30)
        await s.press(key)
        await wait_for(lambda: s.app.screen.query(FindBar))
        await s.press(*"line", "space", *"17", "enter")
        await wait_for(lambda: view.matches is not None and not s.app.screen.query(FindBar))
        await wait_for(lambda: "▶" in text_of(s.played) and "with line 17" in text_of(s.played))

    return text_is_found


def saves(several: bool) -> Callable[[Stage, str], Awaitable[None]]:
    async def output_is_saved(s: Stage, key: str) -> None:
        asked: list[list[str]] = []
        s.app.save_logs = lambda job_ids: asked.append(list(job_ids))  # type: ignore[method-assign]
        await (logs_screen(s) if several else s.open(s.app.index[0]))
        await s.press(key)
        await wait_for(lambda: asked == [[s.app.index[0], s.app.index[1]] if several else [s.app.index[0]]])

    return output_is_saved


async def logs_go_back(s: Stage, key: str) -> None:
    await logs_screen(s)
    await s.press(key)
    await wait_for(lambda: s.app.screen is s.overview)


async def marked_are_merged(s: Stage, key: str) -> None:
    await s.press("space", "space", key)
    await wait_for(lambda: isinstance(s.app.screen, LogsScreen) and len(s.app.screen.job_ids) == 2)


async def run_is_merged(s: Stage, key: str) -> None:
    screen = await run_screen(s)
    screen.jobs.action_mark()
    screen.jobs.action_mark()
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, LogsScreen) and len(s.app.screen.job_ids) == 2)


async def long_lines_are_wrapped(s: Stage, key: str) -> None:
    view = await s.open()
    long = "word " * 100 + "end-of-it"
    view.buffer.add(StoredChunk(stream_seq=9, attempt=1, at=1.0, parts=(("out", long + "\n"),)))
    s.played.draw()
    await wait_for(lambda: "end-of-it" not in text_of(s.played))
    await s.press(key)
    await wait_for(lambda: "end-of-it" in text_of(s.played) and "↪" in text_of(s.played))


async def next_match_is_shown(s: Stage, key: str) -> None:
    view = await s.open()
    view.action_log_first()
    view.find("9")
    await s.press(key, key)
    await wait_for(lambda: "▶ line 19" in text_of(s.played))


async def match_before_is_shown(s: Stage, key: str) -> None:
    view = await s.open()
    view.find("line 1")
    await s.press(key, key)
    await wait_for(lambda: "▶ line 198" in text_of(s.played))


async def only_matches_are_shown(s: Stage, key: str) -> None:
    view = await s.open()
    view.find("7")
    await s.press(key)
    await wait_for(lambda: "line 197" in text_of(s.played) and "line 198" not in text_of(s.played))
    await s.press(key)
    await wait_for(lambda: "line 198" in text_of(s.played))


def replays(seen: Callable[[Replay], bool]) -> Callable[[Stage, str], Awaitable[None]]:
    async def tape_is_turned(s: Stage, key: str) -> None:
        model = LabModel(seed=8, mean_test_s=12)
        tape = Tape()
        tape.record(Moment(e.at, n, e) for n, e in enumerate(model.play(300, keep_waiting=10), start=1))
        replay = Replay(tape, "")
        replay.speed = 1.0
        s.app.show_replay(replay)
        replay.seek(tape.begin + 120)
        await s.pilot.pause()
        await s.press(key)
        await wait_for(lambda: seen(replay))

    return tape_is_turned


async def replay_ends(s: Stage, key: str) -> None:
    await replays(lambda _: s.app.replay is None)(s, key)
    assert s.app.store is s.played.store


def since_begin(replay: Replay) -> float:
    return replay.clock.at - replay.tape.begin


async def run_screen(s: Stage) -> RunScreen:
    runs = s.app.store.jobs.runs.latest()
    run = next(r for r in runs if r.ended and not r.over)
    s.app.open_run(run.run_id)
    await wait_for(lambda: isinstance(s.app.screen, RunScreen) and s.app.screen.query("#jobs"))
    await s.pilot.pause()
    screen = s.app.screen
    assert isinstance(screen, RunScreen)
    return screen


def run_asks(verb: str, *, ended: bool, typed: str = "") -> Callable[[Stage, str], Awaitable[None]]:
    async def asks_and_does(s: Stage, key: str) -> None:
        screen = await run_screen(s)
        ids = screen.jobs.ids()
        rows = (ids[row] for row in range(len(ids)))
        job_id = next(i for i in rows if (j := s.app.store.jobs.get(i)) and j.ended == ended)
        screen.jobs.move_to_id(job_id)
        await s.press(key)
        await wait_for(lambda: isinstance(s.app.screen, Confirm))
        await s.press(*typed, "enter" if typed else "y")
        await wait_for(lambda: [(d.verb, d.targets) for d in s.app.deeds] == [(verb, (job_id,))])

    return asks_and_does


async def run_copies(s: Stage, key: str) -> None:
    screen = await run_screen(s)
    await s.press(key)
    await wait_for(lambda: s.app.clipboard == screen.jobs.cursor_id)


async def run_goes_back(s: Stage, key: str) -> None:
    await run_screen(s)
    await s.press(key)
    await wait_for(lambda: s.app.screen is s.overview)


async def dialog_yes(s: Stage, key: str) -> None:
    s.jobs.move_to_id(s.running())
    await s.press("c", key)
    await wait_for(lambda: s.app.screen is s.overview)
    await wait_for(lambda: len(s.app.cancelled) == 1)


async def dialog_no(s: Stage, key: str) -> None:
    s.jobs.move_to_id(s.running())
    await s.press("c", key)
    await wait_for(lambda: s.app.screen is s.overview)
    await wait_for(lambda: not s.app.cancelled)


async def help_closes(s: Stage, key: str) -> None:
    await s.press("question_mark", key)
    await wait_for(lambda: s.app.screen is s.overview)


SCENES: dict[str, Callable[[Stage, str], Awaitable[None]]] = {
    "app.help": help_shows_all_keys,
    "app.command_palette": palette_opens,
    "app.runs": runs_are_shown,
    "app.slots": slots_are_shown,
    "app.command": commands_are_typed,
    "list.filter": list_filters,
    "list.copy": list_copies,
    "list.back": list_goes_back,
    "slots.trouble": trouble_comes_first,
    "slots.hold('drain')": holds("drain"),
    "slots.hold('pause')": holds("pause"),
    "slots.hold('quarantine')": holds("quarantine"),
    "slots.hold('resume')": holds("resume"),
    "job.explain": something_is_read,
    "job.found": something_is_read,
    "job.find": finds(False),
    "logs.find": finds(True),
    "job.save_log": saves(False),
    "logs.save_log": saves(True),
    "logs.back": logs_go_back,
    "overview.merge": marked_are_merged,
    "run.merge": run_is_merged,
    "log.wrap": long_lines_are_wrapped,
    "log.next_match": next_match_is_shown,
    "log.previous_match": match_before_is_shown,
    "log.only": only_matches_are_shown,
    "app.replay_pause": replays(lambda replay: not replay.playing),
    "app.replay_step(-1)": replays(lambda replay: not replay.playing and since_begin(replay) <= 120),
    "app.replay_step(1)": replays(lambda replay: not replay.playing and since_begin(replay) >= 120),
    "app.replay_wind(-60)": replays(lambda replay: 60 <= since_begin(replay) < 100),
    "app.replay_wind(60)": replays(lambda replay: 180 <= since_begin(replay) < 220),
    "app.replay_faster(-1)": replays(lambda replay: replay.speed == 0.25),
    "app.replay_faster(1)": replays(lambda replay: replay.speed == 5.0),
    "app.replay_end": replay_ends,
    "run.cancel": run_asks("cancel", ended=False),
    "run.retry": run_asks("retry", ended=True),
    "run.reprioritise": run_asks("reprioritise", ended=False, typed="2"),
    "run.copy": run_copies,
    "run.back": run_goes_back,
    "app.next_theme": theme_changes,
    "app.save_picture": picture_is_saved,
    "app.read_again": everything_is_read_again,
    "app.leave": it_quits,
    "overview.panel('queue')": panel(QueuePanel),
    "overview.panel('agents')": panel(AgentTable),
    "overview.panel('groups')": panel(GroupTable),
    "overview.panel('jobs')": panel(JobTable),
    "overview.zoom": zoom_shows_one_panel,
    "overview.filter": filter_filters,
    "overview.order": order_changes,
    "overview.cancel": cancel_asks_and_cancels,
    "overview.retry": asks("retry", ended=True, in_job=False),
    "overview.reprioritise": asks("reprioritise", ended=False, in_job=False, typed="9"),
    "overview.copy": copies,
    "overview.back": back_undoes_step_by_step,
    "job.cancel": job_cancel_asks,
    "job.retry": asks("retry", ended=True, in_job=True),
    "job.reprioritise": asks("reprioritise", ended=False, in_job=True, typed="high"),
    "job.copy": job_copies,
    "job.next_job": next_job_is_shown,
    "job.previous_job": previous_job_is_shown,
    "job.back": job_goes_back,
    "table.open": open_opens,
    "table.cursor_up": cursor("j j", lambda _: 1),
    "table.cursor_down": cursor("j", lambda _: 2),
    "table.page_up": cursor("G", lambda s: len(s.app.index) - 1 - s.jobs.page),
    "table.page_down": cursor("", lambda s: s.jobs.page),
    "table.first": cursor("G", lambda _: 0),
    "table.last": cursor("", lambda s: len(s.app.index) - 1),
    "marks.mark": mark_marks,
    "marks.mark_all": mark_all_marks_what_matches,
    "marks.unmark_all": unmark_all_unmarks,
    "log.follow": follow_toggles,
    "log.times": times_are_shown,
    "log.line_up": log_moves("", lambda log: log.buffer.end - log.size.height - 1),
    "log.line_down": log_moves("g", lambda _: 1),
    "log.log_page_up": log_moves("", lambda log: log.buffer.end - 2 * log.size.height + 1),
    "log.log_page_down": log_moves("g", lambda log: log.size.height - 1),
    "log.log_first": log_moves("", lambda _: 0),
    "log.log_last": log_moves("g", lambda log: log.buffer.end - log.size.height),
    "log.aside(-8)": log_aside("right right", "89abcdefghij"),
    "log.aside(8)": log_aside("", "89abcdefghij"),
    "dialog.confirm": dialog_yes,
    "dialog.refuse": dialog_no,
    "help.close": help_closes,
}


def test_every_action_has_a_scene() -> None:
    assert set(SCENES) == {action.id for action in ACTIONS}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
async def test_the_key_does_it(action: Action, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    played = stage()
    async with shown(played) as pilot:
        await SCENES[action.id](Stage(played, pilot), action.keys.split(",")[0])


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_its_other_keys_do_the_same(action: Action) -> None:
    bound = BindingsMap(bindings(action.scope))
    for key in action.keys.split(","):
        assert [binding.action for binding in bound.get_bindings_for_key(key)] == [action.name]


# --- The same table everywhere --------------------------------------------------------------------


def test_ids_and_keys_are_unique_within_a_place() -> None:
    ids = [action.id for action in ACTIONS]
    assert len(ids) == len(set(ids))
    places: tuple[tuple[Scope, ...], ...] = (
        ("app", "overview", "table", "marks"),
        ("app", "job", "log"),
        ("app", "logs", "log"),
        ("app", "list", "slots", "table"),
        ("app", "run", "table", "marks"),
    )
    for scopes in places:
        keys = [key for action in actions_of(*scopes) for key in action.keys.split(",")]
        assert len(keys) == len(set(keys)), sorted(k for k in keys if keys.count(k) > 1)


def test_all_keys_of_our_widgets_come_from_the_table() -> None:
    from tui.app import DashboardApp

    ours = {action.id for action in ACTIONS}
    kinds = (
        DashboardApp,
        OverviewScreen,
        JobScreen,
        RunsScreen,
        RunScreen,
        SlotsScreen,
        LogsScreen,
        RunTable,
        SlotTable,
        Confirm,
        HelpScreen,
        JobTable,
        AgentTable,
        LogView,
    )
    for kind in kinds:
        for binding in kind.__dict__.get("BINDINGS", []):
            assert isinstance(binding, Binding)
            assert binding.id in ours
    assert [b.id for b in bindings("job") if isinstance(b, Binding)] == [a.id for a in actions_of("job")]


async def test_the_footer_shows_what_the_table_says() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await wait_for(lambda: len(s.overview.query(FooterKey)) > 3)
        footer = {(key.key_display, key.description) for key in s.overview.query(FooterKey)}
        wanted = {
            (a.display or a.keys, a.label) for a in actions_of("overview", "table", "marks", "app") if a.shown
        }
        assert footer == wanted


async def test_the_help_tells_of_every_action() -> None:
    played = stage()
    async with shown(played, (120, 140)) as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        text = text_of(played)
        for action in ACTIONS:
            if action.scope != "help":
                assert key_text(action) in text
                assert action.help.split()[0] in text


async def test_the_palette_offers_every_action_of_the_place() -> None:
    played = stage()
    async with shown(played):
        provider = ActionProvider(played.app.screen)
        offered = {action.id for action in provider.offered()}
        here = actions_of("overview", "table", "marks", "app")
        assert {a.id for a in here if a.palette and not a.name.startswith("replay")} == offered | {
            "overview.cancel",  # the first job has ended
            "overview.reprioritise",
        }
        assert {"overview.filter", "app.leave", "marks.mark"} <= offered
        hits = [hit async for hit in provider.search("theme")]
        assert next(hit.text for hit in hits) == "Theme  (T)"


async def test_the_palette_does_what_it_offers() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        for action in actions_of("marks"):
            played.app.do(action)
            await pilot.pause()
        assert not s.jobs.marks
        played.app.do(next(a for a in ACTIONS if a.id == "marks.mark"))
        await wait_for(lambda: len(s.jobs.marks) == 1)
        played.app.do(next(a for a in ACTIONS if a.id == "overview.panel('agents')"))
        await wait_for(lambda: isinstance(s.overview.focused, AgentTable))


async def test_the_palette_finds_jobs_whatever_they_are_called() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        job_id = s.app.index[3]
        provider = ActionProvider(played.app.screen)
        hits = [hit async for hit in provider.search(job_id)]
        assert len(hits) == 1
        hits[0].command()
        await wait_for(lambda: isinstance(s.app.screen, JobScreen))
        assert not [hit async for hit in provider.search('"[bold]:nothing')]


# --- Read-only ----------------------------------------------------------------------------------


async def test_read_only_binds_nothing_that_changes_anything() -> None:
    played = PlayedDashboard(LabModel(seed=4), read_only=True)
    played.play(60)
    played.live()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        s.jobs.move_to_id(s.running())
        await s.press("c")
        assert s.app.screen is s.overview
        await wait_for(lambda: len(s.overview.query(FooterKey)) > 3)
        assert "Cancel" not in {key.description for key in s.overview.query(FooterKey)}
        assert not any(action.mutates for action in ActionProvider(s.app.screen).offered())
        assert "read-only" in text_of(played)
        await s.press("question_mark")
        assert "Cancel the job" not in text_of(played)
        await s.press("escape")
        await s.open()
        await s.press("c")
        assert isinstance(s.app.screen, JobScreen)


def test_what_changes_something_is_known_by_name() -> None:
    assert mutating("cancel")
    assert not mutating("panel")


# --- Other ways -----------------------------------------------------------------------------------


async def test_what_cannot_be_cancelled_is_greyed() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        ended = next(i for i in s.app.index if (j := s.app.store.jobs.get(i)) and j.ended)
        s.jobs.move_to_id(ended)
        s.overview.check_selection()
        assert s.overview.check_action("cancel", ()) is None
        assert s.overview.check_action("retry", ()) is True
        s.jobs.move_to_id(s.running())
        s.overview.check_selection()
        assert s.overview.check_action("cancel", ()) is True


async def test_all_marked_jobs_are_cancelled_with_one_question() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        s.app.show_jobs(filter=parse_filter("state:queued"))
        await s.press(*["space"] * 7, "c")
        text = text_of(played)
        assert "Cancel 7 jobs?" in text
        assert text.count("$ qgjob cancel j_") == 5
        assert "and 2 more" in text
        await s.press("y")
        assert len(s.app.cancelled) == 7


async def test_a_group_and_an_agent_show_their_jobs() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("3", "enter")
        assert s.app.index.filter.text.startswith("build:")
        assert s.jobs.has_focus
        assert len(s.app.index)
        await s.press("escape", "2", "enter")
        assert s.app.index.filter.text == "agent:lab-1"
        await s.press("2", "down", "enter")
        await wait_for(lambda: isinstance(s.app.screen, JobScreen))


async def test_a_wrong_filter_says_why_and_leaves_the_table_alone() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        before = len(s.app.index)
        await s.press("slash")
        await wait_for(lambda: s.overview.query(Input))
        s.overview.query_one(Input).value = "colour:red"
        await wait_for(lambda: "no field 'colour'" in text_of(played))
        assert len(s.app.index) == before
        await s.press("enter")
        assert s.overview.query(FilterBar)
        await s.press("escape")
        await wait_for(lambda: not s.overview.query(FilterBar))


async def test_the_mouse_moves_the_cursor_and_opens() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await pilot.click("#jobs", offset=(10, 5))
        assert s.app.index.row_of(s.jobs.cursor_id or "") == 3
        await pilot.click("#jobs", offset=(10, 5), times=2)
        await wait_for(lambda: isinstance(s.app.screen, JobScreen))


async def test_the_wheel_scrolls_the_log_and_stops_following() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        log = await s.open()
        await pilot.pause()
        top = log.top
        log.scroll_relative(y=-3, animate=False)
        assert not log.following
        assert log.top == top - 3
        log.scroll_end(animate=False)
        await pilot.pause()
        assert log.following


async def test_closing_help_with_the_key_that_opened_it() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("question_mark", "question_mark")
        assert s.app.screen is s.overview
        with pytest.raises(NoMatches):
            s.overview.query_one(FilterBar)


def test_nothing_is_written_into_the_working_folder() -> None:
    assert not list(Path(os.getcwd()).glob("qgjob_*.svg"))  # noqa: PTH109
