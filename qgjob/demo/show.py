"""How the demo looks while it runs: a drawing on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, Self

from qgjob.clock import Clock
from qgjob.demo.drawing import Palette, cell_seconds, rows
from qgjob.demo.plan import Plan, Push
from qgjob.demo.record import Record
from qgjob.demo.spans import spans_of
from qgjob.domain.lifecycle import AT_WORK, TERMINAL
from qgjob.domain.wording import pluralize

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

_PLAIN_EVERY_S: Final = 3.0
_NAME_WIDTH: Final = 4
_NOW_WIDTH: Final = 34


class Show(Protocol):
    """Shows a person the progress of the demo."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def say(self, text: str) -> None:
        """A step of the demo begins."""
        ...

    def on_push(self, push: Push) -> None:
        """Something was submitted."""
        ...

    def update(self, record: Record) -> None:
        """Take in the record, which may have changed."""
        ...

    def note(self, text: str) -> None:
        """Show a message from outside of the demo, to stay on the screen."""
        ...


class PlainShow:
    """Prints a line for each push and each failure, and the progress every few seconds."""

    def __init__(self, plan: Plan, note: Callable[[str], None], clock: Clock) -> None:
        self._plan = plan
        self._note = note
        self._clock = clock
        self._last_note_at = clock.monotonic()
        self._noted: set[str] = set()

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Print it."""
        self._last_note_at = self._clock.monotonic()
        self._note(text)

    def note(self, text: str) -> None:
        """Print it."""
        self._note(text)

    def on_push(self, push: Push) -> None:
        """Print it."""
        self.say(push_text(push))

    def update(self, record: Record) -> None:
        """Print new failures, and now and then the progress."""
        for job in record.jobs:
            if job.state in TERMINAL and job.state != "passed" and job.job_id not in self._noted:
                self._noted.add(job.job_id)
                self._note(f"{job.state}: {job.test} of {job.app_version_id}")
        now = self._clock.monotonic()
        if now - self._last_note_at >= _PLAIN_EVERY_S:
            self._last_note_at = now
            self._note(
                f"{record.ended} of {self._plan.jobs} jobs have ended, {record.installs.total()} installs"
            )


class DrawnShow:
    """Slots as timelines in the colours of their builds, and what waits."""

    def __init__(self, plan: Plan, console: Console, note: Callable[[str], None], clock: Clock) -> None:
        self._plan = plan
        self._console = console
        self._note = note
        self._clock = clock
        self._started = clock.monotonic()
        self._palette = Palette(plan.versions, colour=not console.no_color)
        self._status = ""
        self._record: Record | None = None
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begin to draw."""
        from rich.live import Live

        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        self._end()

    def say(self, text: str) -> None:
        """Show it until the next step."""
        self._status = text
        self._refresh()

    def on_push(self, push: Push) -> None:
        """Show it until the next."""
        self.say(push_text(push))

    def update(self, record: Record) -> None:
        """Draw anew."""
        self._record = record
        if len(record.jobs) == self._plan.jobs:
            self._status = ""
        self._refresh()

    def note(self, text: str) -> None:
        """Print it, and draw no more."""
        self._end()
        self._note(text)

    def _end(self) -> None:
        live, self._live = self._live, None
        if live:
            live.stop()

    def _refresh(self) -> None:
        if self._live:
            self._live.refresh()

    def _draw(self) -> Text:
        from rich.text import Text

        elapsed = self._clock.monotonic() - self._started
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("qgjob demo", "bold").append(f"  {elapsed:4.1f} s  ").append(self._status, "italic")
        record = self._record
        if record is None or not record.jobs:
            return text
        text.append("\n\n").append(self._slots(record))
        text.append("\n").append(self._waiting(record)).append("\n").append(self._total(record))
        for job in [job for job in record.jobs if job.state in TERMINAL and job.state != "passed"][-4:]:
            text.append("\n  ✗ ", "bold red").append(
                job.app_version_id, self._palette.style(job.app_version_id)
            )
            text.append(f" {_short(job.test)}")
        return text

    def _slots(self, record: Record) -> Text:
        from rich.text import Text

        now = self._clock.now()
        began = min(job.created_at for job in record.jobs)
        width = max(self._console.width - _NAME_WIDTH - _NOW_WIDTH - 2, 20)
        spans = spans_of(record.jobs, now)
        busy = {
            f"{a.agent}/{a.slot}": job
            for job in record.jobs
            for a in job.attempts[-1:]
            if job.state in AT_WORK
        }
        slots = sorted({span.slot for span in spans} | set(busy))
        per_cell = cell_seconds(now - began, width)
        drawn = rows(spans, slots, self._palette, began=began, per_cell_s=per_cell, width=width)
        text = Text()
        for slot, line in zip(slots, drawn, strict=True):
            text.append(f"{slot.rpartition('/')[2]:<{_NAME_WIDTH}}").append(line)
            text.append(" " * max(width - len(line), 0) + "  ")
            if job := busy.get(slot):
                latest = next((span for span in reversed(spans) if span.slot == slot), None)
                installs = latest is not None and latest.kind == "install"
                doing = "installing" if installs else _short(job.test)
                text.append(job.app_version_id, self._palette.style(job.app_version_id)).append(f" {doing}")
            text.append("\n")
        return text

    def _waiting(self, record: Record) -> Text:
        from rich.text import Text

        waiting = Counter(job.app_version_id for job in record.jobs if job.state in {"queued", "dispatched"})
        text = Text("waiting  ")
        for version in self._plan.versions:
            bar = "▪" * ((waiting[version] + 1) // 2)
            text.append(f"{version} ").append(bar, self._palette.style(version)).append(
                f" {waiting[version]}   "
            )
        return text

    def _total(self, record: Record) -> Text:
        from rich.text import Text

        states = Counter(job.state for job in record.jobs)
        bar = round(30 * record.ended / max(self._plan.jobs, 1))
        text = Text("done     ").append("━" * bar, "green").append("━" * (30 - bar), "bright_black")
        text.append(f" {record.ended}/{self._plan.jobs}   {states['passed']} passed, ")
        failed = record.ended - states["passed"]
        text.append(f"{failed} failed", "bold red" if failed else "")
        return text.append(f"   {record.installs.total()} installs")


def push_text(push: Push) -> str:
    """A push in a line."""
    count = pluralize(len(push.tests), "test")
    return f"CI pushes {count} of {push.version} ({push.suite}) with priority {push.priority}"


def _short(test: str) -> str:
    return test.rpartition("/")[2].removesuffix(".py")
