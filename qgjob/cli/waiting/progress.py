"""The progress of a wait: drawn on a terminal, plain lines elsewhere, so that a CI log stays readable."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol, Self

from bus_schemas.queries import JobView
from qgjob.cli.display.output import STYLES, Output, clean
from qgjob.cli.display.render import counts_text, last_attempt, took, where, why
from qgjob.cli.waiting.infra_errors import InfraErrors
from qgjob.cli.waiting.unstarted import AT_MOST, kind_of
from qgjob.client.watching.watch import Watch
from qgjob.clock import Clock
from qgjob.domain.durations import show_duration
from qgjob.domain.lifecycle import AT_WORK, TERMINAL
from qgjob.domain.verdict import counts_of

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

HEARTBEAT_S: Final = 30.0
"""A CI that hears nothing for long takes a step for hung."""
_DRAWN_EACH_S: Final = 1
"""Drawings a second: what is waited for takes minutes, and a drawing costs more than the news in it."""
_SHOWN_RUNNING: Final = 8
_SHOWN_BAD: Final = 5
_SHOWN_GOOD: Final = 3
_ROOM: Final = 4
"""Lines of the terminal that are not for jobs: the bar, a problem, the cursor."""


class Progress(Protocol):
    """Shows the progress of a watched run."""

    def __call__(self, watch: Watch) -> None:
        """Take in the watched state, which may have changed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def progress_for(out: Output, clock: Clock) -> Progress:
    """The kind of progress that fits stderr: drawn on a terminal, else plain lines."""
    return DrawnProgress(out, clock) if out.err_on_terminal else PlainProgress(out, clock)


class PlainProgress:
    """Prints a line for every job that ended or met infrastructure trouble, and at times the counts."""

    def __init__(self, out: Output, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._started = clock.monotonic()
        self._spoke = self._started
        self._ended: set[str] = set()
        self._unstarted = Counter[tuple[str, str]]()
        self._infra_errors = InfraErrors()
        self._problem: str | None = None
        self._held: str | None = None

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def __call__(self, watch: Watch) -> None:
        """Say what is new."""
        now = self._clock.monotonic()
        for error in self._infra_errors.new(watch.jobs):
            self._say(error, now)
        for job in watch.jobs:
            if job.state in TERMINAL and job.job_id not in self._ended:
                self._ended.add(job.job_id)
                if self._is_shown(job):
                    self._say(f"[{len(self._ended)}/{watch.size}] {ended_text(job)}", now)
        if watch.held != self._held:
            self._held = watch.held
            self._say(watch.held or "It is held no more.", now)
        if watch.problem != self._problem:
            self._problem = watch.problem
            self._say(f"{watch.problem} Waiting for it." if watch.problem else "It answers again.", now)
        if now - self._spoke >= HEARTBEAT_S:
            counts = counts_text(counts_of(watch.jobs))
            self._say(f"… {counts} after {show_duration(now - self._started)}", now)

    def _is_shown(self, job: JobView) -> bool:
        """Whether the end of a job has a line; the first that has none is where it is said."""
        kind = kind_of(job)
        if kind is None:
            return True
        self._unstarted[kind] += 1
        if self._unstarted[kind] == AT_MOST + 1:
            state, reason = kind
            verb = "expired" if state == "expired" else f"were {state}"
            self._out.note(f"… more that had not started {verb}" + (f" ({reason})" if reason else ""))
        return self._unstarted[kind] <= AT_MOST

    def _say(self, text: str, now: float) -> None:
        self._spoke = now
        self._out.note(text)


class DrawnProgress:
    """A few lines that are redrawn in place, and removed at the end."""

    def __init__(self, out: Output, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._started = clock.monotonic()
        # Drawn by a thread of rich's own: what it reads is replaced as a whole, never changed.
        self._jobs: tuple[JobView, ...] = ()
        self._size = 0
        self._problem: str | None = None
        self._held: str | None = None
        self._infra_errors = InfraErrors()
        self._live: Live | None = None
        self._ended: set[str] = set()
        self._good: tuple[JobView, ...] = ()
        self._bad: tuple[JobView, ...] = ()

    def __enter__(self) -> Self:
        """Begin to draw."""
        from rich.live import Live

        self._live = Live(
            get_renderable=self._draw,
            console=self._out.console(err=True),
            refresh_per_second=_DRAWN_EACH_S,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        if self._live:
            self._live.stop()

    def __call__(self, watch: Watch) -> None:
        """Note what the next drawing shows."""
        new = [job for job in watch.jobs if job.state in TERMINAL and job.job_id not in self._ended]
        self._ended.update(job.job_id for job in new)
        # What went wrong stays in sight; what passed goes by.
        self._good = (*self._good, *(job for job in new if job.state == "passed"))[-_SHOWN_GOOD:]
        self._bad = (*self._bad, *(job for job in new if job.state != "passed"))[-_SHOWN_BAD:]
        self._jobs, self._size, self._problem = watch.jobs, watch.size, watch.problem
        self._held = watch.held
        for error in self._infra_errors.new(watch.jobs):
            self._note(error)

    def _note(self, text: str) -> None:
        """A line that stays, above what is drawn."""
        if self._live is None:
            self._out.note(text)
        else:
            self._live.console.print(clean(text), soft_wrap=True, highlight=False, markup=False)

    def _draw(self) -> Text:
        from rich.text import Text

        text = Text(no_wrap=True, overflow="ellipsis")
        jobs, size = self._jobs, max(self._size, 1)
        height = self._out.console(err=True).height - _ROOM
        ended = [*self._bad, *self._good][: max(height // 2, 1)]
        for job in ended:
            text.append(f"  {job.state.replace('_', ' '):<10}", STYLES.get(job.state, ""))
            text.append(clean(ended_text(job)[10:]) + "\n")
        working = [job for job in jobs if job.state in AT_WORK]
        shown = working[: max(min(_SHOWN_RUNNING, height - len(ended)), 0)]
        for job in shown:
            text.append(f"  {job.state:<10}", STYLES.get(job.state, ""))
            text.append(clean(self._working_text(job)) + "\n")
        if len(working) > len(shown):
            text.append(f"  … and {len(working) - len(shown)} more at work\n")
        counts = counts_of(jobs)
        done = sum(counts.get(state, 0) for state in TERMINAL)
        filled = round(20 * done / size)
        elapsed = show_duration(self._clock.monotonic() - self._started)
        text.append("━" * filled, "green").append("━" * (20 - filled), "bright_black")
        text.append(f" {done}/{size}  {counts_text(counts)}  {elapsed}")
        if self._held:
            text.append(f"\n{clean(self._held)}", "yellow")
        if self._problem:
            text.append(f"\n{clean(self._problem)} Waiting for it.", "yellow")
        return text

    def _working_text(self, job: JobView) -> str:
        """A running job: where, for how long, and its progress message."""
        last = last_attempt(job)
        since = (last.running_at or last.started_at) if last else None
        took_s = "" if since is None else show_duration(max(0.0, self._clock.now() - since))
        return "  ".join(part for part in (job.title, where(last), took_s, job.message or "") if part)


def ended_text(job: JobView) -> str:
    """A job that ended, in one line."""
    last = last_attempt(job)
    details = [part for part in (took(last), where(last), why(job)) if part]
    return f"{job.state:<9} {job.title}" + (f"  ({', '.join(details)})" if details else "")
