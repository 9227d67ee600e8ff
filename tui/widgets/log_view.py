"""A job's log, with what is looked for in it: marked, or shown alone.

Where only matching lines are shown, positions count those; otherwise a position is a line's number.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import ClassVar

from textual.binding import BindingType

from qgjob.domain.wording import show_size
from tui.actions.bindings import bindings
from tui.draw.spans import Span
from tui.draw.times import count
from tui.store.log import LogBuffer
from tui.store.log_search import AllLines, LogMatches, shown_text
from tui.toasts import reply
from tui.widgets.log_lines import breaks_of, found_at
from tui.widgets.log_viewport import MAX_ASIDE, LogViewport, Marks

_NO_SEARCH = "Nothing is looked for yet: / begins."


class LogView(LogViewport):
    """Shows a `LogBuffer`."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("log")

    def __init__(self, widget_id: str) -> None:
        super().__init__(widget_id)
        self.only = False
        """Show only the lines that match what is looked for."""
        self.matches: LogMatches | None = None
        self.problem = ""
        """Why there is no log, or no more of it."""
        self.waits = False
        """Whether nothing has begun that could write anything."""
        self._current = -1
        """The number of the line that was found last; -1: none."""

    def show(self, buffer: LogBuffer) -> None:
        """Show another log, from its end; what is looked for stays."""
        self.show_buffer(buffer)
        self.problem = ""
        self._current = -1
        text = self.matches.text if self.matches else ""
        self.matches = LogMatches(buffer, text) if text else None
        self.sync()
        self.refresh()

    @property
    def lines(self) -> AllLines | LogMatches:
        """See `LogViewport`: the matching lines, or all."""
        return self.matches if self.only and self.matches is not None else self._all

    @property
    def marks(self) -> Marks:
        """See `LogViewport`: what is looked for, and the line that was found last."""
        return Marks(self.matches.pattern if self.matches is not None else None, self._current)

    def before_sync(self) -> None:
        """See `LogViewport`."""
        if self.matches is not None:
            self.matches.step()

    def on_unmount(self) -> None:
        """Let go of the matches too; Textual calls the viewport's as well."""
        self.matches = None

    # --- Looking for something ---------------------------------------------------------------

    def find(self, text: str) -> None:
        """Look for a text from now on, or for nothing; raises `SearchError` for a wrong expression."""
        number = self.number_at_top
        if self.matches is None or self.matches.text != text:
            self.matches = LogMatches(self.buffer, text) if text else None
        self.only = self.only and bool(text)
        self._current = -1
        if self.matches is not None:
            self.matches.step()
            if not self.matches.complete:
                self.run_worker(self._search(self.matches), group="search", exclusive=True)
        self.stay_at(number)

    async def _search(self, matches: LogMatches) -> None:
        more = True
        while more and matches is self.matches:
            await asyncio.sleep(0)  # keys come first
            more = matches.step()
        self.sync()

    def action_next_match(self) -> None:
        """To the next line in which it was found."""
        self._go_to_match(forward=True)

    def action_previous_match(self) -> None:
        """To the one before."""
        self._go_to_match(forward=False)

    def action_only(self) -> None:
        """Show only what matches, or all of it with what was found marked."""
        if self.matches is None:
            reply(self, _NO_SEARCH)
            return
        number = self._current if self._current >= 0 else self.number_at_top
        self.only = not self.only
        self.stay_at(number)

    def action_copy_lines(self) -> None:
        """Copy the line with what was found, if it is in sight, or else all that are."""
        seen = self.numbers_in_sight()
        numbers = [self._current] if self._current in seen else seen
        if not numbers:
            reply(self, "There is no line to copy.")
            return
        self.app.copy_to_clipboard("\n".join(shown_text(self.buffer.line(number)) for number in numbers))
        reply(self, "Copied 1 line." if len(numbers) == 1 else f"Copied {count(len(numbers))} lines.")

    def _go_to_match(self, *, forward: bool) -> None:
        if self.matches is None:
            reply(self, _NO_SEARCH)
            return
        here = self._current
        if here < 0:
            top = self.number_at_top
            here = top - 1 if forward else top + self.size.height
        found = self.matches.after(here) if forward else None
        if found is None:
            # The search begins at the top: the last line so far that has it need not be the last.
            self.matches.step(len(self.buffer))
            found = self.matches.after(here) if forward else self.matches.before(here)
        if found is None:
            where = "further down" if forward else "further up"
            reply(self, f"No line {where} has {self.matches.text!r}.")
            return
        self._current = found
        self.following = False
        self._bring_into_view(found)
        self._rows = None
        self.sync()

    def _bring_into_view(self, number: int) -> None:
        """Let what was found in a line be seen, however long the line is."""
        cells = found_at(self.buffer.line(number), self.matches.pattern) if self.matches else None
        begin, end = cells or (0, 0)
        room = self.text_width
        part = 0
        if self.wrap:
            part = max(0, bisect_right(breaks_of(self.buffer.line(number), room), begin) - 1)
        elif end > self._aside + room - 1 or begin < self._aside:
            self._aside = 0 if end < room else min(MAX_ASIDE, begin - room // 3)
        place = (self.lines.position(number), part)
        if place not in self._places:
            self._top, self._part = self.line_rows.back(place, self.size.height // 3)

    # --- Titles ------------------------------------------------------------------------------

    @property
    def empty_text(self) -> Span:
        """See `LogViewport`."""
        if self.only and self.matches is not None:
            text = f"No line has {self.matches.text!r}."
        else:
            yet = "No output yet: the job waits, Explain says why." if self.waits else "No output yet."
            text = self.problem or ("No output." if self.buffer.complete else yet)
        return text, "bad" if self.problem else "dim"

    def say_titles(self) -> None:
        """See `LogViewport`."""
        buffer = self.buffer
        dropped = f" · {count(buffer.first)} dropped" if buffer.first else ""
        left_out = f" · {show_size(buffer.left_out)} left out by the agent" if buffer.left_out else ""
        jobs = f"{len(buffer.sources)} logs" if len(buffer.sources) > 1 else "Log"
        title = f"{jobs} · {count(buffer.end)} lines · {show_size(buffer.seen_bytes)}{dropped}{left_out}"
        if self.matches is not None:
            found = self.matches.end - self.matches.first
            more = "" if self.matches.complete else "+"
            title += f" · {count(found)}{more} with {self.matches.text[:30]}"
        if self.new_below:
            below = f"▼ {count(self.new_below)} new below"
        elif buffer.complete:
            below = "complete"
        elif self.problem and len(buffer):
            below = self.problem
        else:
            below = "following" if self.following else "paused"
        self.say(title, below)
