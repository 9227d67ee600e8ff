"""The line in which a filter is typed; what is wrong with it is said beside it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

from tui.store.filter import FilterError, JobFilter, parse_filter

DEBOUNCE_S = 0.04


class FilterBar(Horizontal):
    """Appears with `/`, filters while one types, stays until Enter or Escape."""

    DEFAULT_CSS = """
    FilterBar { height: 1; padding: 0 1; background: $panel; }
    FilterBar > #slash { width: 2; color: $primary; text-style: bold; }
    FilterBar > Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    FilterBar > Input:focus { border: none; background: $panel; }
    FilterBar > #wrong { width: auto; max-width: 60%; color: $error; }
    FilterBar > #keys { width: auto; color: $foreground 55%; padding: 0 0 0 2; }
    """

    class Changed(Message):
        """Another filter was typed."""

        def __init__(self, wanted: JobFilter) -> None:
            super().__init__()
            self.wanted = wanted

    class Closed(Message):
        """Enter was pressed; or Escape, and the filter is to go."""

        def __init__(self, *, keep: bool) -> None:
            super().__init__()
            self.keep = keep

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """The prompt, the input, and room for what is wrong."""
        yield Static("/", id="slash")
        field = Input(self._text, placeholder="words  state:failed  build:v1*  org:acme  -test:login")
        field.cursor_blink = False
        yield field
        yield Static("", id="wrong", markup=False)
        yield Static("⏎ keep  esc off", id="keys", markup=False)

    @property
    def field(self) -> Input:
        """Where one types."""
        return self.query_one(Input)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter a little later, in case another key follows."""
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(DEBOUNCE_S, self._apply)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it and go to the table."""
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        if self._apply():
            self.post_message(self.Closed(keep=True))

    def key_escape(self) -> None:
        """Leave without a filter."""
        if self._timer is not None:
            self._timer.stop()
        self.post_message(self.Closed(keep=False))

    def _apply(self) -> bool:
        wrong = self.query_one("#wrong", Static)
        try:
            wanted = parse_filter(self.field.value)
        except FilterError as error:
            wrong.update(f" {error}")
            return False
        wrong.update("")
        self.post_message(self.Changed(wanted))
        return True
