"""The job table: every job that the filter lets through, marks and cursor by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.binding import BindingType
from textual.message import Message

from qgjob.domain.lifecycle import BAD_ENDS
from tui.actions.bindings import bindings
from tui.draw.spans import Line, fit, short
from tui.draw.states import JOB_GLYPH, JOB_INK, priority_ink, word
from tui.draw.times import age, count, span
from tui.operations.catalog import Operation
from tui.store.index import JobIndex
from tui.store.job import Job
from tui.store.store import Store
from tui.widgets.columns import Column
from tui.widgets.table import LineTable

_COLUMNS = (
    Column("state", "  STATE", 13),
    Column("test", "TEST", 22, share=5),
    Column("build", "BUILD", 8, share=1, spare=1),
    Column("org", "ORG", 6, share=1, spare=6),
    Column("priority", "PRI", 3, right=True, spare=5),
    Column("place", "SLOT", 10, share=1, spare=4),
    Column("attempt", "TRY", 3, right=True, spare=3),
    Column("reason", "NOTE", 30, share=4, spare=9),
    Column("waited", "WAIT", 5, right=True, spare=7),
    Column("took", "TOOK", 5, right=True),
    Column("ended", "ENDED", 5, right=True, spare=2),
)


_ORDER_OF: Final = {
    "state": "trouble",
    "test": "test",
    "build": "build",
    "priority": "priority",
    "place": "work",
    "waited": "newest",
    "took": "longest",
    "ended": "latest",
}
"""What a click on a column's title orders by."""


class JobTable(LineTable):
    """Jobs, as the index orders them."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("marks")
    columns: ClassVar[tuple[Column, ...]] = _COLUMNS

    class OrderWanted(Message):
        """The title of a column was clicked that stands for an order."""

        def __init__(self, order: str) -> None:
            super().__init__()
            self.order = order

    def __init__(self, store: Store, index: JobIndex, title: str = "4 Jobs") -> None:
        super().__init__("jobs")
        self._title = title
        self._store = store
        self.rows = self._index = index
        self.marks: set[str] = set()

    def selected(self) -> list[str]:
        """The marked jobs, else the one under the cursor."""
        if self.marks:
            return sorted(self.marks, key=lambda job_id: (self._index.row_of(job_id) or 0, job_id))
        cursor = self.cursor_id
        return [cursor] if cursor else []

    def title_clicked(self, key: str) -> None:
        """Ask for the order that goes with a column."""
        if key in _ORDER_OF:
            self.post_message(self.OrderWanted(_ORDER_OF[key]))

    def action_mark(self) -> None:
        """Mark the job under the cursor and go on to the next without a mark; or take its mark off.

        Jobs move in the table: the next one may be one that was marked already, and another key must
        not take that mark off again.
        """
        cursor = self.cursor_id
        if cursor is None:
            return
        self.marks ^= {cursor}
        row, last = self._row + 1, len(self._index) - 1
        while cursor in self.marks and row <= last and self._index[row] in self.marks:
            row += 1
        self.move_to(row if row <= last else self._row)

    def action_mark_all(self) -> None:
        """Mark every job that the filter lets through, those included that are not found yet."""
        while not self._index.complete:
            self._index.step()
        self.marks = set(self._index)
        self.sync()
        self.post_message(self.Moved(self))

    def action_unmark_all(self) -> None:
        """Take all marks off."""
        self.marks.clear()
        self.sync()
        self.post_message(self.Moved(self))

    def unmark(self, done: Operation) -> None:
        """Take all marks off, if it was them that something was done to."""
        if done.about_jobs and not self.marks.isdisjoint(done.targets):
            self.action_unmark_all()

    def sync(self) -> None:
        """Forget marks of jobs that are gone, follow the rows, repaint what differs."""
        if self.marks:
            self.marks = {job_id for job_id in self.marks if self._store.jobs.get(job_id) is not None}
        self._say_counts()
        super().sync()

    def empty(self) -> tuple[str, str]:
        """Why there are no rows."""
        if not self._index.complete:
            return ("Looking …", "")
        link = self._store.link
        if self._index.filter and link.snapshot_loading:
            return ("No job matches the filter so far; older ones are read …", "esc takes it off")
        if self._index.filter:
            return ("No job matches the filter.", "esc takes it off")
        if link.phase in {"connecting", "loading"}:
            return (link.reason or f"Connecting to {link.server} …", link.hint)
        if link.query_error:
            return ("The jobs could not be read.", link.query_error)
        return ("No jobs yet.", "qgjob submit --org-id acme --app-version-id 1.0 --test 'tests/*.py'")

    def cells(self, row_id: str, widths: Sequence[tuple[Column, int]]) -> Sequence[Line]:
        """A job."""
        job = self._store.jobs.get(row_id)
        if job is None:
            return ()
        now = self._store.clock.now()
        return [self._cell(job, column.key, width, now) for column, width in widths]

    def _cell(self, job: Job, key: str, width: int, now: float) -> Line:
        match key:
            case "state":
                return self._state(job, width)
            case "test":
                text = fit(job.title, width, keep_end=True)
                ink = "bold" if job.active else "bad" if job.state in BAD_ENDS else "wait"
                return ((text, ink if job.test else "dim"),)
            case "build":
                return ((fit(job.app_version_id, width, keep_both=True), "" if job.active else "dim"),)
            case "org":
                return ((fit(job.org_id, width), "dim"),)
            case "priority":
                number = str(job.priority) if job.priority else ""
                return ((fit(number, width, right=True), priority_ink(job.priority)),)
            case "place":
                return ((fit(job.slot_name, width, keep_both=True), "" if job.active else "dim"),)
            case "attempt":
                text = str(job.attempt) if job.attempt > 1 or job.attempts else ""
                return ((fit(text, width, right=True), "prep" if job.attempt > 1 else "dim"),)
            case "reason":
                return ((fit(self._reason(job), width), "bad-soft" if job.state in BAD_ENDS else "dim"),)
            case "waited":
                waited = job.waited(now)
                text = "" if waited is None else age(waited)
                return ((fit(text, width, right=True), "dim" if job.ended or job.active else ""),)
            case "took":
                took = span(job.took(now)) if job.ended or job.active else ""
                return ((fit(took, width, right=True), "busy" if job.active else ""),)
            case _:
                text = age(max(0.0, now - job.ended_at)) if job.ended_at else ""
                return ((fit(text, width, right=True), "dim"),)

    def _state(self, job: Job, width: int) -> Line:
        ink = JOB_INK[job.state]
        mark = ("◆", "mark") if job.job_id in self.marks else (" ", "")
        state = "cancelling" if job.cancelling and not job.ended else word(job.state)
        if job.flaky:
            state = "flaky"
            ink = "prep"
        return (mark, (fit(f"{JOB_GLYPH[job.state]} {state}", width - 1), ink))

    def _reason(self, job: Job) -> str:
        facts = job.find_attempt(job.attempt)
        if facts is None:
            return ""
        if facts.end is not None:
            if facts.end.state not in BAD_ENDS and not facts.end.message:
                return ""
            return ": ".join(part for part in (facts.end.reason.replace("_", " "), facts.end.message) if part)
        return facts.current_step

    def _say_counts(self) -> None:
        shown, known = len(self._index), len(self._store.jobs)
        parts = [f"{count(shown)} of {count(known)}" if self._index.filter else count(shown)]
        if self.marks:
            parts.append(f"{count(len(self.marks))} marked")
        if self._index.order != "latest":
            parts.append(f"by {self._index.order}")
        if not self._index.complete:
            parts.append("looking …")
        if self._store.link.snapshot_loading and known:
            parts.append("older ones are read …")
        wanted = self._index.filter.text
        said = f"{self._title}  /{short(wanted, 60)}" if wanted else self._title
        self.say(said, " · ".join(parts))
