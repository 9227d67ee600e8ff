"""The queue at a glance: how much waits, by priority and by need, how that went, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

from tui.draw.bars import area, nice_maximum, rule
from tui.draw.spans import Line, fit, pad, width_of
from tui.draw.times import age, short_count, span, window
from tui.store.history import Series
from tui.store.store import Store
from tui.widgets.canvas import Canvas

CLASSES = ("high", "medium", "low")
_LABEL = 7
_NUMBER = 5
_APART = 2
_LEAST_CHART = 4
_HEADROOM = 1.12
"""So that a full chart does not touch the one above it."""


class Meter(NamedTuple):
    """One quantity: now, and how it went."""

    name: str
    depth: int
    series: Series
    ink: str


class QueuePanel(Canvas, can_focus=True):
    """A bar and a chart for each priority and for what the jobs need, and the totals below."""

    def __init__(self, store: Store, widget_id: str) -> None:
        super().__init__(widget_id)
        self._store = store

    def sync(self) -> None:
        """Say the totals and what time the charts show in the border, and repaint what differs."""
        overview = self._store.overview
        text = f"{short_count(overview.waiting)} waiting" if overview else ""
        columns = self._widths(self.size.width)[2]
        # A tape may be wound by minutes, of which nothing is drawn.
        shown = 0 if self._store.link.replay else columns * self._store.history.running.step_of(columns)
        title = f"1 Queue · last {window(shown)}" if overview and shown else "1 Queue"
        self.say(title, text + self._store.link.age_suffix(self._store.clock.monotonic()))
        super().sync()

    def on_resize(self) -> None:
        """The charts may cover another time."""
        self.sync()

    def draw(self, width: int, height: int) -> list[Line]:
        """Charts as high as there is room, then one to four lines of totals."""
        totals = self._totals(width)
        shown = totals[: max(1, min(len(totals), height - len(CLASSES)))]
        room = height - len(shown)
        urgencies = self._urgencies()
        needs = self._needs()[: max(0, room - len(CLASSES))]
        rows = max(1, min(6, (room - len(needs)) // len(CLASSES)))
        widths = self._widths(width)
        most = max((meter.depth for meter in (*urgencies, *needs)), default=0)
        lines: list[Line] = []
        for meter in urgencies:
            lines.extend(self._chart(meter, widths, rows, most))
        for meter in needs:
            lines.extend(self._chart(meter, widths, 1, most))
        blank: list[Line] = [()] * max(0, min(1, height - len(lines) - len(shown)))
        return [*lines, *blank, *shown][:height]

    def _urgencies(self) -> list[Meter]:
        overview = self._store.overview
        depths = overview.depths if overview else {}
        history = self._store.history.depths
        return [Meter(name, depths.get(name, 0), history[name], name) for name in CLASSES]

    def _needs(self) -> list[Meter]:
        """What waits by the labels that it needs, the most first; nothing where all can run anywhere."""
        depths = self._store.waiting_by_capability()
        history = self._store.history.capabilities
        names = sorted(history, key=lambda name: (-depths.get(name, 0), name))
        if names in ([], ["any"]):
            return []
        return [Meter(name, depths.get(name, 0), history[name], "wait") for name in names]

    def _widths(self, width: int) -> tuple[int, int, int]:
        """How wide the labels are, the bars and the charts."""
        names = [len(meter.name) + 1 for meter in self._needs()]
        label = min(max([_LABEL, *names]), max(_LABEL, width // 3))
        head = label + _NUMBER + 1
        bar = max(4, (width - head - 1) // 2)
        return label, bar, max(0, width - head - bar - 1)

    def _chart(self, meter: Meter, widths: tuple[int, int, int], rows: int, most: int) -> list[Line]:
        name, depth, series, ink = meter
        label_width, bar_width, plot_width = widths
        head = label_width + _NUMBER + 1
        values = series.plot(plot_width)
        top = nice_maximum(max(values, default=0))
        plot = area(values, plot_width, rows, top * _HEADROOM)
        drawn = rule(depth, most, bar_width)
        label = (
            (fit(name, label_width), "text" if depth else "dim"),
            (fit(short_count(depth), _NUMBER, right=True), f"bold {ink}" if depth else "dim"),
            (" ", ""),
        )
        lines: list[Line] = []
        for row in range(rows):
            last = row == rows - 1
            left = label if last else ((" " * head, ""),)
            middle = (
                ((drawn, ink), ("─" * (bar_width - len(drawn)), "track"))
                if last
                else ((" " * bar_width, ""),)
            )
            scale = top if row == 0 and rows > 1 and any(values) else 0
            lines.append((*left, *middle, (" ", ""), *self._plot_row(plot[row], ink, scale)))
        return lines

    def _plot_row(self, text: str, ink: str, top: float) -> Line:
        """A row of a chart; the first says what its upper edge means, where that is in nobody's way."""
        scale = short_count(top) if top else ""
        if scale and text.startswith(" " * (len(scale) + 1)):
            return ((scale, "faint"), (text[len(scale) :], f"{ink}-soft"))
        return ((text, f"{ink}-soft"),)

    def _totals(self, width: int) -> list[Line]:
        overview = self._store.overview
        if overview is None:
            return [(), (), ()]
        parts: list[tuple[str, str, str]] = [
            (short_count(overview.running), " running", "bold busy"),
            (short_count(overview.slots_idle), " idle", "bold"),
        ]
        if overview.oldest_wait_s is not None:
            parts.insert(1, (age(overview.oldest_wait_s), " oldest", "bold"))
        if overview.held:  # why work waits while slots are idle
            parts.append((short_count(overview.held), " held", "bold wait"))
        if overview.delayed:
            parts.append((short_count(overview.delayed), " delayed", "bold"))
        if overview.dead_letters:
            parts.insert(0, (short_count(overview.dead_letters), " unreadable", "bold bad"))
        first = pad(_those_that_fit(parts, width), width)
        return [first, self._ends(width), self._installs(width), self._waits(width)]

    def _waits(self, width: int) -> Line:
        """How long the jobs waited that began last: half of them, and all but one in twenty."""
        waits = self._store.waits
        half, most = waits.quantile(0.5), waits.quantile(0.95)
        if half is None or most is None:
            return ((fit("", width), ""),)
        said = [
            (span(half), " p50 wait", "bold"),
            (span(most), " p95", "bold"),
            ("", f"of the last {len(waits)}", ""),
        ]
        return _those_that_fit(said, width)

    def _installs(self, width: int) -> Line:
        made, avoided = self._store.jobs.today.made, self._store.jobs.today.avoided
        more = self._more()
        said = [
            (short_count(made) + more, " installs", "bold prep" if made else "dim"),
            (short_count(avoided) + more, " avoided", "bold good" if avoided else "dim"),
            ("", "today", ""),
        ]
        line = _those_that_fit(said, width)
        room = min(30, max(0, width - width_of(line))) if made + avoided else 0
        saved = round(room * avoided / max(1, made + avoided))
        return (*line, ("━" * saved, "good"), ("━" * (room - saved), "prep"))

    def _more(self) -> str:
        """What stands behind a number of jobs while older ones are still read."""
        return "+" if self._store.link.snapshot_loading else ""

    def _ends(self, width: int) -> Line:
        ended = self._store.jobs.today.ended
        passed, failed, errored = (ended[state] for state in ("passed", "failed", "errored"))
        rate = self._store.history.ends.per_minute(self._store.clock.now())
        more = self._more()
        said = [
            (short_count(passed) + more, " passed", "bold good" if passed else "dim"),
            (short_count(failed) + more, " failed", "bold bad" if failed else "dim"),
            *([(short_count(errored) + more, " errored", "bold lab")] if errored else []),
            ("", f"{short_count(rate)}/min", ""),
        ]
        line = _those_that_fit(said, width)
        if width - width_of(line) >= len("today  ") + _LEAST_CHART:
            said.insert(-1, ("", "today", ""))
            line = _those_that_fit(said, width)
        plot_width = width - width_of(line)
        if plot_width < _LEAST_CHART:
            return line
        values = self._store.history.ended.plot(plot_width)
        return (*line, (area(values, plot_width, 1)[0], "good-soft"))


def _those_that_fit(parts: list[tuple[str, str, str]], width: int) -> Line:
    """Numbers, each with its words and its ink, as far as there is room: half a number is a wrong one."""
    line: list[tuple[str, str]] = []
    left = width
    for number, words, ink in parts:
        if len(number) + len(words) <= left:
            left -= len(number) + len(words)
            gap = min(_APART, left)
            left -= gap
            line += [(number, ink), (words + " " * gap, "dim")]
    return tuple(line)
