"""Something to be read and closed: why a job waits, what its report found, what it left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from tui.actions.bindings import bindings
from tui.draw.spans import Line
from tui.widgets.canvas import Canvas

Text = Callable[[int], Sequence[Line]]
"""The lines for a width."""


class ReadingText(Canvas):
    """The text, as high as it is."""

    DEFAULT_CSS = "ReadingText { height: auto; }"

    def __init__(self, text: Text) -> None:
        super().__init__()
        self._text = text

    def show(self, text: Text) -> None:
        """Show another text."""
        self._text = text
        self._drawn = None
        self.refresh(layout=True)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """As many lines as there are."""
        return max(1, len(self._text(width)))

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """All of it."""
        return list(self._text(width))


class Reading(ModalScreen[None]):
    """A text in a box, which may come later than the box."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("help")
    DEFAULT_CSS = """
    Reading { align: center middle; background: $background 60%; }
    Reading > VerticalScroll { width: 90%; max-width: 120; height: auto; max-height: 90%; padding: 1 2;
                               border: round $primary; background: $surface; border-title-color: $primary;
                               border-subtitle-color: $foreground 55%; border-title-style: bold; }
    """

    def __init__(self, title: str, text: Text = lambda _: [(("Asking …", "dim"),)]) -> None:
        super().__init__()
        self._title = title
        self._text = ReadingText(text)

    def compose(self) -> ComposeResult:
        """The text in a box."""
        with VerticalScroll() as box:
            box.border_title = self._title
            box.border_subtitle = "esc closes"
            yield self._text

    def show(self, text: Text) -> None:
        """Put the text into the box."""
        self._text.show(text)

    def fail(self, sentence: str) -> None:
        """There is no text, and why."""
        self.show(lambda _: [((sentence, "bad"),)])

    def action_close(self) -> None:
        """Close it."""
        self.dismiss()
