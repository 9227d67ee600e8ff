"""The dashboard's life: the store, the feed that fills it, and the timer that draws what changed."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from importlib import import_module
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Final

from textual import events, on
from textual.app import App
from textual.notifications import Notify
from textual.screen import Screen

from qgjob.clock import Clock, SystemClock
from qgjob.config import shown_server
from qgjob.errors import QgjobError
from tui.announcer import Announcer
from tui.draw.spans import short
from tui.platform.gc_tuning import GarbageCollector
from tui.screens.live import LiveScreen
from tui.screens.overview import OverviewScreen
from tui.settings import Settings
from tui.store.filter import JobFilter
from tui.store.index import JobIndex
from tui.store.store import Store
from tui.themes import ANSI, own_themes, theme_for
from tui.toasts import reply, superseded

if TYPE_CHECKING:
    from textual.driver import Driver

    from qgjob.config import ServerOptions
    from tui.feed.feed import Feed
    from tui.replay.replay import Replay

DRAWS_PER_SECOND: Final = 4
"""How often what came is drawn; what a key does is drawn at once."""
_INDEX_SLICE: Final = 2000
_BACKGROUND_SLICE: Final = 500
_BACKGROUND_DELAY_S: Final = 0.03
"""So long the rest waits until the first page is drawn."""
_FIRST_PAGE: Final = 200
_FIRST_PAGE_BUDGET_S: Final = 0.02
"""So long a key may look for a page of jobs that its filter lets through, before it shows what there is."""


class Shell(App[None]):
    """The app without its keys. Without `options` it shows a store that somebody else fills."""

    TITLE = "qgjob"
    NOTIFICATION_TIMEOUT = 6.0
    CSS = """
    Toast { width: auto; max-width: 90%; margin: 0; padding: 0 1; }
    """
    """A toast of one line lies on the border of the lowest panel, and on none of its rows."""

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
        # Textual took TEXTUAL_THEME as it stands there, before ours were known: it has to change to it.
        self.set_reactive(App[None].theme, ANSI)
        self.theme = theme_for(os.environ, self.available_themes)
        self.settings = settings or Settings()
        if self.settings.theme in self.available_themes and os.environ.get("NO_COLOR") is None:
            self.theme = self.settings.theme or self.theme
        self._announcer = Announcer(self.settings.notify)
        server = shown_server(options.url) if options else ""
        self.live_store = store or Store(clock or SystemClock(), server=server)
        self.store = self.live_store
        """What the screens show: the live store, or that of a replay."""
        self.replay: Replay | None = None
        self.index = self._live_index = JobIndex(self.store.jobs)
        self._base_depth = 1
        """How many screens lie below all others: the overview, and that of a replay."""
        self.read_only = read_only
        self.failure: QgjobError | None = None
        """Why the dashboard gave up, to be said when the terminal is the user's again."""
        self._options = options
        self._feed: Feed | None = None
        self._feed_created = asyncio.Event()
        self._garbage_collector = GarbageCollector(monotonic())
        self._last_input_at = 0.0
        """When a key was pressed or the mouse moved, by the machine's monotonic clock."""

    @property
    def can_mutate(self) -> bool:
        """Whether something may be changed: not where one only looks, and nothing in the past."""
        return not self.read_only and self.replay is None

    def get_driver_class(self) -> type[Driver]:
        """Our own for a terminal; browsers and tests have theirs."""
        from textual.drivers.linux_driver import LinuxDriver

        from tui.platform.terminal import TerminalDriver

        driver = super().get_driver_class()
        return TerminalDriver if driver is LinuxDriver else driver

    def get_default_screen(self) -> Screen[None]:
        """The overview."""
        return OverviewScreen(self.store, self.index, read_only=self.read_only)

    def on_mount(self) -> None:
        """Start the timer, and the feed once the first screen is painted."""
        self.set_keymap(dict(self.settings.keymap))
        self.show_jobs(order=self.settings.order)
        if self.settings.theme not in {None, *self.available_themes}:
            known = ", ".join(sorted(self.available_themes))
            self.notify(
                f"There is no theme {self.settings.theme!r}: {known}.", markup=False, severity="warning"
            )
        self.set_interval(1 / DRAWS_PER_SECOND, self.tick)
        self.call_after_refresh(self._start)
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.exit)

    async def on_event(self, event: events.Event) -> None:
        """Note that somebody is there.

        What Escape leads to, and Enter where something is typed, is there before the next key comes.
        """
        if isinstance(event, events.InputEvent):
            self._last_input_at = monotonic()
            if isinstance(event, events.Key) and event.key == "escape" and not event.is_forwarded:
                active = self.screen.active_bindings.get("escape")
                if active is not None and active.enabled:
                    await self.run_action(active.binding.action, active.node)
                    return
            if isinstance(event, events.Key) and event.key == "enter" and not event.is_forwarded:
                here = self.screen
                if isinstance(here, LiveScreen) and await here.submit_bar():
                    return
        await super().on_event(event)

    async def _check_bindings(self, key: str, priority: bool = False) -> bool:
        """Do what a key is bound to; of one that does nothing at present, say why."""
        done = await super()._check_bindings(key, priority)
        here = self.screen
        if not done and not priority and isinstance(here, LiveScreen) and (why := here.refusal_for_key(key)):
            reply(self, why)
        return done

    @on(Notify)
    def _drop_superseded_toasts(self, event: Notify) -> None:
        for old in superseded(self._notifications, event.notification):
            self._unnotify(old, refresh=False)

    def tick(self) -> None:
        """Put what changed on the screens that can be seen."""
        if not self.screen_stack:
            return  # on the way out
        self._garbage_collector.collect_if_due(
            monotonic(), self._last_input_at, self._feed.resyncs if self._feed else 0
        )
        if self.replay is not None:
            self.replay.tick(1 / DRAWS_PER_SECOND)
            if self.replay.seeking:
                self.run_worker(self._finish_seek(self.replay), group="wind", exclusive=True)
            self.live_store.take_changes()
        changes = self.store.take_changes()
        for notice in self._take_notices():
            self.notify(notice, markup=False, severity="warning")
        if changes.second and self.replay is None:
            said, bell = self._announcer.check(self.store)
            for sentence in said:
                # A line, which hides nothing but a border: the whole stands on the screen of alerts.
                room = max(20, self.size.width * 9 // 10 - 8)
                self.notify(short(sentence, room), markup=False, severity="warning")
            if bell:
                self.bell()
        if changes.jobs:
            self.index.update(changes.jobs)
        top = self.screen
        for screen in self.screen_stack:
            if isinstance(screen, LiveScreen) and (screen is top or top.is_modal):
                screen.update(changes)

    async def _finish_seek(self, replay: Replay) -> None:
        """Go the whole way to where the tape was sent, as fast as keys allow."""
        while replay.seeking and self.replay is replay:
            replay.advance()
            await asyncio.sleep(0)

    def _take_notices(self) -> list[str]:
        notices = self.store.link.notices[:]
        self.store.link.notices.clear()
        return notices

    def _start(self) -> None:
        if self._options is not None:
            # Not the coroutine itself: who quits at once would leave it behind, never awaited.
            self.run_worker(partial(self._run_feed, self._options), group="feed", exclusive=True)

    async def _run_feed(self, options: ServerOptions) -> None:
        # Loading the client takes longer than painting: in a thread, the screen answers meanwhile.
        feed_module = await asyncio.to_thread(import_module, "tui.feed.feed")
        feed: Feed = feed_module.Feed(options, self.live_store, lambda: self.call_later(self.tick))
        self._feed = feed
        self._feed_created.set()
        try:
            await feed.run()
        except QgjobError as error:
            self.failure = error
            self.exit(return_code=int(error.exit_code))

    async def feed(self) -> Feed:
        """The feed; waits until it is there."""
        while self._feed is None:
            await self._feed_created.wait()
        return self._feed

    # --- The jobs that are shown ---------------------------------------------------------------

    def show_jobs(self, *, filter: JobFilter | None = None, order: str | None = None) -> None:  # noqa: A002
        """Filter or order the jobs anew; the first of them are there at once, the rest follow."""
        index = self.index
        index.show(filter=filter, order=order)
        enough_by = perf_counter() + _FIRST_PAGE_BUDGET_S
        while not index.complete and len(index) < _FIRST_PAGE and perf_counter() < enough_by:
            index.step(_INDEX_SLICE)
        self._index_changed()
        if not self.index.complete:
            self.run_worker(self._index_remaining(), group="index", exclusive=True)

    async def _index_remaining(self) -> None:
        await asyncio.sleep(_BACKGROUND_DELAY_S)
        while not self.index.complete:
            self.index.step(_BACKGROUND_SLICE)
            await asyncio.sleep(0)  # a key takes a dozen steps of the loop until it is drawn
        self._index_changed()

    def _index_changed(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, OverviewScreen):
                screen.index_changed()
