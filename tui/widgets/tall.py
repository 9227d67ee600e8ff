"""A canvas that shows a part of something much taller, which grows all the time."""

from __future__ import annotations

from typing import cast

from textual.geometry import Size
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.widget import Widget

from tui.widgets.canvas import Canvas


class TallCanvas(Canvas, ScrollView, can_focus=True):
    """Its height may change at every draw, which must not cost a layout of the whole screen."""

    DEFAULT_CSS = """
    TallCanvas { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """

    def stretch(self, lines: int) -> None:
        """Let the whole be so many lines high."""
        wanted = Size(self.size.width, lines)
        if wanted == self.virtual_size:
            return
        height = self.container_size.height
        if (lines > height) != self.show_vertical_scrollbar or wanted.width != self.virtual_size.width:
            self.virtual_size = wanted  # the scroll bar comes or goes: that does take a layout
            return
        self.set_reactive(cast("Reactive[Size]", Widget.virtual_size), wanted)
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.window_virtual_size = lines
