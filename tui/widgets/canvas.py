"""A widget that draws lines of plain data, and repaints only those that differ from the last time."""

from __future__ import annotations

from typing import Self, cast

from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.draw.spans import Line, changed_cells, crop
from tui.widgets.inks import Inks, inks_of, style_of


class Canvas(Widget):
    """Subclasses say in `draw` what there is to see; `sync` puts the difference on the screen.

    One with an id is a panel of its screen: it has a border.
    """

    ALLOW_SELECT = False

    def __init__(self, widget_id: str | None = None) -> None:
        super().__init__(id=widget_id, classes="panel" if widget_id else None)
        self._drawn: list[Line] | None = None
        self._drawn_size = (0, 0)
        self._inks: Inks | None = None
        self._base: Style | None = None
        self._said = ("", "")
        self._saying: tuple[Region, ...] = ()
        """While a border is written: its rows, which alone are repainted."""
        self.lines_painted: int = 0
        """How many lines were put on the screen so far: what drawing costs, for tests."""

    def draw(self, width: int, height: int) -> list[Line]:
        """The lines to be seen; fewer than `height` leave the rest empty."""
        raise NotImplementedError

    def say(self, title: str, subtitle: str = "") -> None:
        """Write into the border; a name in it may look like markup, and is none."""
        if self._said == (title, subtitle):
            return
        self._said = (title, subtitle)
        gutter, (width, height) = self.gutter, self.outer_size
        top = Region(-gutter.left, -gutter.top, width, 1)
        self._saying = (top, top.translate((0, height - 1)))
        self.border_title = Content(title)  # pyright: ignore[reportAttributeAccessIssue]
        self.border_subtitle = Content(subtitle)  # pyright: ignore[reportAttributeAccessIssue]
        self._saying = ()

    def set_lines(self, lines: int) -> None:
        """Make room for so many lines within the border; another height lays the whole screen out anew."""
        if self.styles.height is None or self.styles.height.value != lines + 2:
            self.styles.height = lines + 2

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """Repaint what is said; Textual's own setters of a border's text would have all of it repainted."""
        return super().refresh(
            *(regions or self._saying), repaint=repaint, layout=layout, recompose=recompose
        )

    def sync(self) -> None:
        """Draw again, and repaint the cells that changed: over a slow line every byte counts."""
        if not self.is_attached or not self.size.height or self._drawn is None:
            self._drawn = None
            return  # not laid out, or hidden for now: the next paint draws by itself
        old, old_size = self._drawn, self._drawn_size
        self._draw()
        if self._drawn_size != old_size:
            self.refresh()
            return
        width, height = self.size
        first, range_of_it = 0, None
        for y in range(height + 1):
            found = self.changed(_at(old, y), _at(self._drawn, y), width) if y < height else None
            if found == range_of_it:
                continue
            if range_of_it is not None:  # the same cells of lines below each other are repainted together
                begin, end = range_of_it
                self.refresh(Region(begin, first, end - begin, y - first))
            first, range_of_it = y, found

    def changed(self, old: Line, new: Line, width: int) -> tuple[int, int] | None:
        """Between which cells a line looks different now; None where it does not."""
        return changed_cells(old, new, width)

    def render_line(self, y: int) -> Strip:
        """A line as Textual wants it."""
        if self._drawn is None or self._drawn_size != self.room:
            self._draw()
        self.lines_painted += 1
        return self.to_strip(_at(self._drawn or [], y), self.size.width)

    def to_strip(self, line: Line, width: int, under: str = "") -> Strip:
        """A line in this theme's inks, `under` being laid below all of it."""
        inks = self.inks
        base = self.base + style_of(inks, under)
        if under and base.reverse:
            # With the terminal's own colours a reversed row shows none: they would be its background.
            text = "".join(text for text, _ in line)
            return Strip([Segment(text, base)]).adjust_cell_length(width, base)
        segments = [
            Segment(text, base + style_of(inks, ink) if ink else base) for text, ink in crop(line, width)
        ]
        return Strip(segments).adjust_cell_length(width, base)

    @property
    def inks(self) -> Inks:
        """The inks of the theme."""
        if self._inks is None:
            self._inks = inks_of(cast("App[object]", self.app))
        return self._inks

    @property
    def base(self) -> Style:
        """The widget's own colours, which lie under everything."""
        if self._base is None:
            self._base = self.rich_style
        return self._base

    def notify_style_update(self) -> None:
        """The theme may be another one now, or the widget's own style."""
        super().notify_style_update()
        self._inks = self._base = None

    @property
    def room(self) -> tuple[int, int]:
        """Width and height that can be drawn on, without scroll bars."""
        return self.size.width, self.size.height

    def _draw(self) -> None:
        self._drawn_size = self.room
        self._drawn = self.draw(*self._drawn_size)


def _at(lines: list[Line], y: int) -> Line:
    return lines[y] if y < len(lines) else ()
