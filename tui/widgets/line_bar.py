"""A line at the bottom in which something is typed: a filter, a search, a command."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widgets import Input, Static

from qgjob.waiting import set_within
from tui.store.filter import FilterError, parse_filter

PAUSE_S = 0.02
"""Letters that come faster, as pasted ones do, are taken together."""

SETTLED_S = 1.0
"""So long Enter waits for the letters before it, at most."""


class LineBar(Horizontal):
    """Stays until Enter or Escape; what is wrong with the text is said beside it."""

    DEFAULT_CSS = """
    LineBar { height: 1; padding: 0 1; background: $panel; }
    LineBar > #prompt { width: 2; color: $primary; text-style: bold; }
    LineBar > Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    LineBar > Input:focus { border: none; background: $panel; }
    LineBar > #wrong { width: auto; max-width: 60%; color: $error; }
    LineBar > #keys { width: auto; color: $foreground 55%; padding: 0 0 0 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.close_bar", show=False),
        Binding("tab,shift+tab", "complete", show=False),
    ]
    prompt: ClassVar[str] = "/"
    placeholder: ClassVar[str] = ""
    keys: ClassVar[str] = "⏎ keep  esc off"

    class Changed(Message):
        """Another text stands there, and there is nothing wrong with it."""

        def __init__(self, bar: LineBar, text: str) -> None:
            super().__init__()
            self.bar = bar
            self.text = text

    def __init__(self, text: str = "", suggester: Suggester | None = None) -> None:
        super().__init__()
        self._timer: Timer | None = None
        self._changed_at = 0.0
        self.field = Input(text, placeholder=self.placeholder, suggester=suggester)
        """Where one types."""
        self.field.cursor_blink = False
        self._wrong = Static("", id="wrong", markup=False)

    def compose(self) -> ComposeResult:
        """The prompt, the input, and room for what is wrong."""
        yield Static(self.prompt, id="prompt")
        yield self.field
        yield self._wrong
        yield Static(self.keys, id="keys", markup=False)

    def wrong(self, text: str) -> str:  # noqa: ARG002
        """What is wrong with a text; nothing if it will do."""
        return ""

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say so at once; of what comes quickly the first, and the rest together."""
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        before, self._changed_at = self._changed_at, monotonic()
        if self._changed_at - before > PAUSE_S:
            self.apply()
        else:
            self._timer = self.set_timer(PAUSE_S, self.apply)

    async def settled(self) -> None:
        """Wait until every letter that was typed stands there."""
        stand = asyncio.Event()
        self.field.call_later(stand.set)
        await set_within(stand, SETTLED_S)

    def action_complete(self) -> None:
        """Take what is proposed, as the arrow does; the keys stay here."""
        self.field.action_cursor_right()

    def on_unmount(self) -> None:
        """What was typed last does not count any more."""
        if self._timer is not None:
            self._timer.stop()

    def apply(self) -> bool:
        """Let what stands there count; returns whether there is nothing wrong with it."""
        if self._timer is not None:
            self._timer.stop()
        wrong = self.wrong(self.field.value)
        self._wrong.update(f" {wrong}" if wrong else "")
        if not wrong:
            self.post_message(self.Changed(self, self.field.value))
        return not wrong


class FilterBar(LineBar):
    """Filters jobs while one types."""

    placeholder: ClassVar[str] = "words  state:failed  build:v1*  org:acme  -test:login"

    def wrong(self, text: str) -> str:
        """Why the text is no filter."""
        try:
            parse_filter(text)
        except FilterError as error:
            return str(error)
        return ""


class TextBar(LineBar):
    """Lets through the rows in which the text occurs."""

    placeholder: ClassVar[str] = "a part of the name, build, state, label …"


class FindBar(LineBar):
    """Searches a log while one types."""

    placeholder: ClassVar[str] = "text to find; /regular expression/"
    keys: ClassVar[str] = "⏎ keep  esc off  then n N"

    def wrong(self, text: str) -> str:
        """Why the text is no regular expression."""
        from tui.store.log_search import SearchError, compile_search

        try:
            compile_search(text)
        except SearchError as error:
            return str(error)
        return ""


class CommandBar(LineBar):
    """A command, carried out with Enter."""

    prompt: ClassVar[str] = ":"
    placeholder: ClassVar[str] = "jobs  runs  slots  log ID  export csv  replay 1h  help  quit"
    keys: ClassVar[str] = "⏎ do it  ⇥ complete  esc"

    def __init__(self, text: str = "", suggester: Suggester | None = None) -> None:
        super().__init__(text, suggester)
        self.field.select_on_focus = False  # what is typed goes behind the beginning of a command
