"""What is wrong, a row each, and below it what to do about the one under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar

from tui.draw.clean import clean
from tui.draw.spans import Line, fit
from tui.draw.states import ALERT_GLYPH, ALERT_INK
from tui.draw.times import count
from tui.store.link import STALE_AFTER_S
from tui.store.troubles import Trouble, troubles_of
from tui.widgets.canvas import Canvas
from tui.widgets.columns import Column, ListIds
from tui.widgets.table import LineTable

if TYPE_CHECKING:
    from tui.store.store import Store


class TroubleTable(LineTable):
    """The troubles of this moment, the loudest first."""

    columns: ClassVar[tuple[Column, ...]] = (Column("text", "", 20, share=1),)
    header_height: ClassVar[int] = 0

    def __init__(self, store: Store, widget_id: str) -> None:
        super().__init__(widget_id)
        self._store = store
        self._troubles: dict[str, Trouble] = {}

    def trouble(self) -> Trouble | None:
        """The one under the cursor."""
        return self._troubles.get(self.cursor_id or "")

    def sync(self) -> None:
        """Take the troubles as they are now, and repaint what differs."""
        self._troubles = {trouble.key: trouble for trouble in troubles_of(self._store)}
        self.rows = ListIds(list(self._troubles))
        self.say("What is wrong", count(len(self.rows)) if len(self.rows) else "")
        super().sync()

    def empty(self) -> tuple[str, str]:
        """All is well, as far as one knows."""
        link = self._store.link
        if link.phase in {"connecting", "loading"} and self._store.overview is None:
            return ("Nothing is known yet.", "")
        silence = self._store.clock.monotonic() - link.last_activity
        if link.phase == "reconnecting" or silence >= STALE_AFTER_S:
            return ("The server is not heard: what is wrong now is not known.", link.reason)
        return ("Nothing is wrong.", "")

    def cells(self, row_id: str, widths: Sequence[tuple[Column, int]]) -> Sequence[Line]:
        """A trouble."""
        trouble = self._troubles[row_id]
        ink = ALERT_INK[trouble.level]
        return [((f"{ALERT_GLYPH[trouble.level]} ", ink), (fit(trouble.text, max(1, widths[0][1] - 2)), ink))]


class AdviceCard(Canvas):
    """What is wrong in full, and what to do."""

    def __init__(self, widget_id: str) -> None:
        super().__init__(widget_id)
        self._trouble: Trouble | None = None

    def show(self, trouble: Trouble | None) -> None:
        """Tell of another one."""
        self._trouble = trouble
        self.say("What to do")
        self.sync()

    def wanted_height(self, width: int) -> int:
        """How many lines there are to draw."""
        return len(self.draw(width, 0))

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """All of it."""
        trouble = self._trouble
        if trouble is None:
            return []
        said = wrap(clean(trouble.text), max(10, width))
        advice = wrap(clean(trouble.advice), max(10, width), break_on_hyphens=False)
        return [
            *(((line, ALERT_INK[trouble.level]),) for line in said),
            (),
            *(((line, ""),) for line in advice),
        ]
