"""The dashboard's wiring: the store, the feed that fills it, the timer that draws, the screens."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import App
from textual.binding import BindingType
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Input

from qgjob.clock import Clock, SystemClock
from qgjob.errors import QgjobError, UsageError
from tui import garbage
from tui.actions import ACTIONS, Action, bindings
from tui.announcer import Announcer
from tui.command_line import CommandError
from tui.commander import Commander
from tui.commands import ActionProvider
from tui.deeds import Deed
from tui.draw.times import size
from tui.screens.job import JobScreen
from tui.screens.live import LiveScreen
from tui.screens.logs import MAX_LOGS, LogsScreen
from tui.screens.overview import OverviewScreen
from tui.screens.reading import Reading
from tui.screens.runs import RunScreen, RunsScreen
from tui.screens.slots import SlotsScreen
from tui.settings import Settings, read_settings, settings_path
from tui.store.filter import JobFilter
from tui.store.index import ORDERS, JobIndex
from tui.store.log import LogBuffer
from tui.store.store import Store
from tui.themes import ROUND, own_themes, theme_for

if TYPE_CHECKING:
    from qgjob.bus.connect import ServerOptions
    from tui.doing import Outcome
    from tui.feed import Feed
    from tui.replay import Replay
    from tui.tape import Tape

DRAWS_PER_SECOND: Final = 4
"""How often what came is drawn; what a key does is drawn at once."""
_PUT_ASIDE_EVERY_S: Final = 60
_SLICE: Final = 2000
_SENTENCES: Final = 5
"""So many different refusals are said."""


class DashboardApp(App[None], inherit_bindings=False):
    """The app. Without `options` it shows a store that somebody else fills."""

    TITLE = "qgjob"
    BINDINGS: ClassVar[list[BindingType]] = bindings("app")
    COMMANDS: ClassVar[set[type[ActionProvider]]] = {ActionProvider}  # pyright: ignore[reportIncompatibleVariableOverride]
    NOTIFICATION_TIMEOUT = 6.0

    def __init__(
        self,
        options: ServerOptions | None = None,
        *,
        read_only: bool = False,
        store: Store | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
    ) -> None:
        no_color = os.environ.get("NO_COLOR") is not None
        # The terminal's own colours can be left out altogether; others would become shades of grey.
        super().__init__(ansi_color=True if no_color else None)
        for theme in own_themes():
            self.register_theme(theme)
        self.theme = theme_for(os.environ, self.available_themes)
        self.settings = settings or Settings()
        if self.settings.theme in self.available_themes and os.environ.get("NO_COLOR") is None:
            self.theme = self.settings.theme or self.theme
        self._announcer = Announcer(self.settings.notify)
        server = options.url if options else ""
        self.live_store = store or Store(clock or SystemClock(), server=server)
        self.store = self.live_store
        """What the screens show: the live store, or that of a replay."""
        self.replay: Replay | None = None
        self.index = self._live_index = JobIndex(self.store.jobs)
        self._base = 1
        """How many screens lie below all others: the overview, and that of a replay."""
        self.read_only = read_only
        self.failure: QgjobError | None = None
        """Why the dashboard gave up, to be said when the terminal is the user's again."""
        self._options = options
        self._feed: Feed | None = None
        self._feeding = asyncio.Event()

    # --- Life --------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[None]:
        """The overview."""
        return OverviewScreen(self.store, self.index, read_only=self.read_only)

    def on_mount(self) -> None:
        """Start the timer, and the feed once the first screen is painted."""
        self.set_keymap(dict(self.settings.keymap))
        self.show_jobs(order=self.settings.order)
        self.set_interval(1 / DRAWS_PER_SECOND, self.tick)
        self.set_interval(_PUT_ASIDE_EVERY_S, garbage.put_aside)
        self.call_after_refresh(self._start)
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.exit)

    def tick(self) -> None:
        """Put what changed on the screens that can be seen."""
        if not self.screen_stack:
            return  # on the way out
        if self.replay is not None:
            self.replay.tick(1 / DRAWS_PER_SECOND)
            self.live_store.take()
        changes = self.store.take()
        for notice in self._notices():
            self.notify(notice, markup=False, severity="warning")
        if changes.second and self.replay is None:
            said, bell = self._announcer.look(self.store)
            for sentence in said:
                self.notify(sentence, markup=False, severity="warning")
            if bell:
                self.bell()
        if changes.jobs:
            self.index.update(changes.jobs)
        top = self.screen
        for screen in self.screen_stack:
            if isinstance(screen, LiveScreen) and (screen is top or top.is_modal):
                screen.update(changes)

    def _notices(self) -> list[str]:
        notices = self.store.link.notices[:]
        self.store.link.notices.clear()
        return notices

    def _start(self) -> None:
        if self._options is not None:
            self.run_worker(self._run_feed(self._options), group="feed", exclusive=True)

    async def _run_feed(self, options: ServerOptions) -> None:
        # Loading the client takes longer than painting: in a thread, the screen answers meanwhile.
        feed_module = await asyncio.to_thread(import_module, "tui.feed")
        feed: Feed = feed_module.Feed(options, self.live_store)
        self._feed = feed
        self._feeding.set()
        try:
            await feed.run()
        except QgjobError as error:
            self.failure = error
            self.exit(return_code=int(error.exit_code))

    async def feed(self) -> Feed:
        """The feed; waits until it is there."""
        while self._feed is None:
            await self._feeding.wait()
        return self._feed

    # --- What screens ask for ----------------------------------------------------------------

    def show_jobs(self, *, filter: JobFilter | None = None, order: str | None = None) -> None:  # noqa: A002
        """Filter or order the jobs anew; the first of them are there at once, the rest follow."""
        self.index.show(filter=filter, order=order)
        self.index.step(_SLICE)
        self._index_changed()
        if not self.index.complete:
            self.run_worker(self._work_in(), group="index", exclusive=True)

    def open_job(self, job_id: str) -> None:
        """Show a job."""
        if isinstance(self.screen, JobScreen):
            self.screen.show(job_id)
        else:
            self.push_screen(JobScreen(self.store, self.index, job_id, read_only=self.read_only))

    def close_job(self, job_id: str) -> None:
        """Back to where one came from, the cursor on the job that was shown."""
        self.workers.cancel_group(self, "log")
        self.go_back()
        if isinstance(self.screen, OverviewScreen | RunScreen):
            self.screen.jobs.move_to_id(job_id)

    def go_back(self) -> None:
        """To the screen below."""
        if len(self.screen_stack) > self._base:
            self.pop_screen()

    def go_home(self) -> None:
        """To the overview."""
        self.workers.cancel_group(self, "log")
        while len(self.screen_stack) > self._base:
            self.pop_screen()

    def show_filtered(self, text: str) -> None:
        """The jobs that a filter lets through."""
        self.go_home()
        home = self.screen
        if isinstance(home, OverviewScreen):
            home.filter_by(text)

    def open_runs(self, text: str = "") -> None:
        """All runs, or those that have a text in their names."""
        self.go_home()
        screen = RunsScreen(self.store, read_only=self.read_only)
        self.push_screen(screen)
        if text:
            self.call_after_refresh(lambda: screen.table.want(text))

    def open_slots(self, text: str = "") -> None:
        """All slots, or those in which a text occurs."""
        self.go_home()
        screen = SlotsScreen(self.store, read_only=self.read_only)
        self.push_screen(screen)
        if text:
            self.call_after_refresh(lambda: screen.table.want(text))

    def open_run(self, run_id: str) -> None:
        """One run, its failures first."""
        self.push_screen(RunScreen(self.store, run_id, read_only=self.read_only))

    def obey(self, line: str) -> None:
        """Do what was typed behind `:`."""
        try:
            Commander(self).obey(line)
        except CommandError as error:
            self.notify(str(error), severity="error", markup=False)

    def ask(self, deed: Deed) -> None:
        """Ask before something is changed, then do it."""
        if isinstance(self.screen, LiveScreen):
            self.screen.ask(deed)

    def explain(self, job_id: str) -> None:
        """Ask the scheduler why a job is where it is, and show the answer."""
        self._read_about(Reading(f"Why is {job_id} where it is?"), "explained", job_id)

    def show_report(self, job_id: str) -> None:
        """Show what a job's report found and what it left."""
        self._read_about(Reading(f"What {job_id} found and left"), "reported", job_id)

    def _read_about(self, reading: Reading, teller: str, job_id: str) -> None:
        self.push_screen(reading)
        if self._options is not None:
            self.run_worker(self._read(reading, teller, job_id), group="reading", exclusive=True)

    async def _read(self, reading: Reading, teller: str, job_id: str) -> None:
        client = await (await self.feed()).client()
        asking = import_module("tui.asking")
        try:
            reading.show(await getattr(asking, teller)(client, job_id))
        except QgjobError as error:
            reading.fail(error.message)

    def start_replay(self, ago_s: float) -> None:
        """Show the lab as it was, from so many seconds ago."""
        if self._options is not None:
            self.run_worker(self._start_replay(ago_s), group="replay", exclusive=True)

    def show_replay(self, replay: Replay) -> None:
        """Let the screens show a replay."""
        self.end_replay()
        self.go_home()
        self.replay = replay
        self.store = replay.store
        self.index = JobIndex(replay.store.jobs)
        self._base = 2
        self.push_screen(OverviewScreen(self.store, self.index, read_only=self.read_only))
        self.show_jobs()

    def end_replay(self) -> None:
        """Back to what is now."""
        if self.replay is not None:
            self.replay = None
            self._base = 1
            self.go_home()
            self.store = self.live_store
            self.index = self._live_index
            self.show_jobs()

    async def _start_replay(self, ago_s: float) -> None:
        client = await (await self.feed()).client()
        module = import_module("tui.replay")
        since = self.live_store.clock.now() - ago_s
        try:
            tape: Tape = await module.record(client, since, self._say_progress)
        except (QgjobError, TimeoutError) as error:
            self.notify(f"What happened cannot be read: {error}", severity="error", markup=False)
            return
        if not len(tape):
            self.notify("Nothing happened in that time.", markup=False)
            return
        self.show_replay(module.Replay(tape, self.live_store.link.server))

    def _say_progress(self, sentence: str) -> None:
        self.live_store.link.silent = ""
        self.sub_title = sentence

    def look_up_run(self, run_id: str) -> None:
        """Ask for what events do not tell of a run: its name and metadata."""
        if self._options is not None:
            self.run_worker(self._look_up_run(run_id), group="run", exclusive=True)

    def follow(self, job_ids: Sequence[str], buffer: LogBuffer, say: Callable[[str], None]) -> None:
        """Fill a buffer with the output of jobs, instead of the one that was filled before."""
        if self._options is not None:
            self.run_worker(self._follow(job_ids, buffer, say), group="log", exclusive=True)

    def open_logs(self, job_ids: Sequence[str]) -> None:
        """The output of several jobs as one."""
        if len(job_ids) > MAX_LOGS:
            self.notify(f"At most {MAX_LOGS} logs are read as one.", severity="error", markup=False)
        elif job_ids:
            self.push_screen(LogsScreen(self.store, job_ids, read_only=self.read_only))

    def close_logs(self) -> None:
        """Back from the output of several jobs."""
        self.workers.cancel_group(self, "log")
        self.go_back()

    def save_logs(self, job_ids: Sequence[str]) -> None:
        """Write all stored output of jobs into a new file in the current folder."""
        if self._options is not None:
            self.run_worker(self._save_logs(job_ids), group="save")

    def carry_out(self, deed: Deed) -> None:
        """Do what the user said yes to, and say what came of it."""
        if self.replay is not None:
            self.notify("That was then: nothing of it can be changed.", severity="error", markup=False)
        elif self._options is not None and not self.read_only:
            self.run_worker(self._carry_out(deed), group="control")

    def copy(self, text: str) -> None:
        """Put a text on the clipboard, over SSH as well."""
        if text:
            self.copy_to_clipboard(text)
            self.notify(f"Copied {text[:60]}", markup=False, timeout=2)

    def allows(self, action: Action, screen: Screen[object]) -> bool:
        """Whether an action can be done on a screen just now."""
        if action.mutates and self.read_only:
            return False
        owner = self if action.scope == "app" else screen
        return owner.check_action(action.name.partition("(")[0], ()) is True

    def do(self, action: Action) -> None:
        """Carry out an action where it belongs."""
        target: DOMNode = self if action.scope == "app" else self.screen
        if action.scope in {"table", "marks", "log"}:
            focused = self.screen.focused
            main = self.screen.query("#log" if action.scope == "log" else "#jobs, #runs, #slots")
            target = focused if focused is not None and hasattr(focused, action.method) else main.first()
        self.call_later(self.run_action, action.name, target)

    async def _work_in(self) -> None:
        while not self.index.complete:
            await asyncio.sleep(0)
            self.index.step(_SLICE)
        self._index_changed()

    def _index_changed(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, OverviewScreen):
                screen.index_changed()

    async def _save_logs(self, job_ids: Sequence[str]) -> None:
        client = await (await self.feed()).client()
        log_feed = import_module("tui.log_feed")
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self.store.clock.now()))
        path = Path(f"{job_ids[0] if len(job_ids) == 1 else 'qgjob-logs'}-{stamp}.log")
        try:
            written: int = await log_feed.save_logs(client, job_ids, path)
        except QgjobError as error:
            self.notify(error.message, severity="error", markup=False)
        except OSError as error:
            self.notify(f"The log was not saved: {error.strerror}.", severity="error", markup=False)
        else:
            self.notify(f"Saved {size(written)} to {path}", markup=False)

    async def _follow(self, job_ids: Sequence[str], buffer: LogBuffer, say: Callable[[str], None]) -> None:
        feed = await self.feed()
        client = await feed.client()
        log_feed = import_module("tui.log_feed")
        await log_feed.follow_logs(client, self.store, job_ids, buffer, say)

    async def _look_up_run(self, run_id: str) -> None:
        client = await (await self.feed()).client()
        try:
            view = await client.run(run_id)
        except QgjobError:
            return  # what the events told is shown
        for job in view.jobs:
            self.store.see_job(job)
        self.store.jobs.runs.tell(run_id, view.org_id, size=view.size, name=view.name or "")

    async def _carry_out(self, deed: Deed) -> None:
        client = await (await self.feed()).client()
        doing = import_module("tui.doing")
        outcome: Outcome = await doing.carry_out(client, deed)
        name = f"qgjob {deed.verb}"
        if outcome.done:
            what = outcome.done[0] if len(outcome.done) == 1 else f"{len(outcome.done):,} done."
            self.notify(f"{name}: {what}", markup=False)
        if outcome.already:
            self.notify(f"{name}: nothing to do for {len(outcome.already):,}.", markup=False)
        for sentence in list(dict.fromkeys(outcome.refused))[:_SENTENCES]:
            self.notify(sentence, severity="error", markup=False)

    # --- Actions -----------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where something is typed, a colon is a colon."""
        if action == "command" and isinstance(self.focused, Input):
            return False
        if action.startswith("replay_") and self.replay is None:
            return False
        return super().check_action(action, parameters)

    async def action_command(self) -> None:
        """Open the line in which a command is typed."""
        if isinstance(self.screen, LiveScreen):
            await self.screen.open_command()

    def action_replay_pause(self) -> None:
        """Play, or pause."""
        if self.replay is not None:
            self.replay.toggle()

    def action_replay_step(self, events: int) -> None:
        """Some events onwards or back."""
        if self.replay is not None:
            self.replay.step(events)

    def action_replay_wind(self, seconds: int) -> None:
        """Some seconds onwards or back."""
        if self.replay is not None:
            self.replay.seek(self.replay.clock.at + seconds)

    def action_replay_faster(self, steps: int) -> None:
        """Another speed."""
        if self.replay is not None:
            self.replay.faster(steps)

    def action_replay_end(self) -> None:
        """Back to what is now."""
        self.end_replay()

    def action_runs(self) -> None:
        """Show the runs."""
        self.open_runs()

    def action_slots(self) -> None:
        """Show every slot."""
        self.open_slots()

    def action_help(self) -> None:
        """Show all keys."""
        from tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(read_only=self.read_only))

    def action_leave(self) -> None:
        """Leave; jobs go on."""
        self.exit()

    def action_next_theme(self) -> None:
        """Change to the next theme."""
        here = ROUND.index(self.theme) if self.theme in ROUND else -1
        self.theme = ROUND[(here + 1) % len(ROUND)]
        self.notify(self.theme, markup=False, timeout=2)

    def action_save_picture(self) -> None:
        """Save the screen as a picture in the current folder."""
        try:
            path = self.save_screenshot(path=".")
        except OSError as error:
            self.notify(f"The picture was not saved: {error}.", severity="error", markup=False)
        else:
            self.notify(f"Saved {path}", markup=False)

    def action_read_again(self) -> None:
        """Read everything again."""
        if self._feed is not None:
            self._feed.read_again("Everything was read again.")


def run(options: ServerOptions, *, read_only: bool, settings: Settings | None = None) -> int:
    """Show the dashboard until it is left; returns the exit code.

    Raises `UsageError` when there is no terminal, and `NotAllowedError` or `UsageError` when the
    server refuses the credentials or the address cannot be one.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "The dashboard needs a terminal.",
            hint="In scripts use `qgjob status`, `qgjob list --json` or `qgjob queue status`.",
        )
    settings = settings or read_settings(
        settings_path(os.environ),
        actions=[action.id for action in ACTIONS],
        orders=ORDERS,
        needed="QGJOB_TUI_CONFIG" in os.environ,
    )
    read_only = read_only or settings.read_only
    app = DashboardApp(options, read_only=read_only, settings=settings)
    garbage.take_charge()
    try:
        app.run()
    finally:
        garbage.hand_back()
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0
