"""What there is to say of one job: its names, its result, and its attempts along a time line."""

from __future__ import annotations

from textwrap import wrap

from tui.draw.clean import clean
from tui.draw.spans import Line, ends, fit, pad, short
from tui.draw.states import JOB_GLYPH, JOB_INK, priority_ink, word
from tui.draw.times import moment, span
from tui.store.attempt import AttemptFacts
from tui.store.job import Job
from tui.store.store import Store
from tui.widgets.canvas import Canvas

MAX_ATTEMPTS = 5
MAX_REASON_LINES = 3
_PLACE = 28
"""Cells that the name of a slot may take of an attempt's line."""


class JobCard(Canvas):
    """A few lines about a job."""

    def __init__(self, store: Store, widget_id: str) -> None:
        super().__init__(widget_id)
        self._store = store
        self.job_id = ""

    def wanted_height(self, width: int) -> int:
        """How many lines there are to draw at that width."""
        job = self._store.jobs.get(self.job_id)
        if job is None:
            return 2
        return len(self._facts(job, width)) + max(1, min(MAX_ATTEMPTS, len(self._attempts(job))))

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """The card."""
        job = self._store.jobs.get(self.job_id)
        if job is None:
            return [((fit(f"{self.job_id} is not known (any more).", width), "dim"),)]
        return [*self._facts(job, width), *self._time_line(job, width)]

    def _facts(self, job: Job, width: int) -> list[Line]:
        ink = JOB_INK[job.state]
        state = "cancelling" if job.cancelling and not job.ended else word(job.state)
        if job.flaky:
            state, ink = "passed, flaky", "prep"
        head: Line = ((f"{JOB_GLYPH[job.state]} {state}", f"bold {ink}"), ("  ", ""))
        used = sum(len(text) for text, _ in head)
        test = job.title if job.spec else "…"
        room = max(8, width - used - len(job.job_id) - 2)
        lines: list[Line] = [
            ends(
                (*head, (fit(test, min(room, len(test)), keep_end=True), "bold")),
                ((fit(job.job_id, min(width, len(job.job_id))), "dim"),),
                width,
            )
        ]
        words: list[tuple[str, str]] = []
        for label, text, style in self._words(job):
            shown = short(text, 40)
            if shown and sum(len(word) for word, _ in words) + len(label) + 1 + len(shown) <= width:
                words += [(f"{label} ", "dim"), (shown, style), ("   ", "")]
        lines.append(pad(tuple(words), width))
        said = self._why(job)
        ink = "bad" if job.ended else "dim"
        told = wrap(clean(" ".join(said.split())), max(10, width))
        lines += [((fit(line, width), ink),) for line in told[: MAX_REASON_LINES - 1]]
        if rest := " ".join(told[MAX_REASON_LINES - 1 :]):
            lines.append(((fit(rest, width), ink),))
        return lines

    def _words(self, job: Job) -> list[tuple[str, str, str]]:
        if job.spec is None:
            return [("org", job.org_id, ""), ("run", job.run_id, "")]
        needs = "+".join(job.spec.requires)
        return [
            ("build", job.app_version_id, "bold"),
            ("org", job.org_id, ""),
            ("priority", str(job.priority), priority_ink(job.priority)),
            ("needs", needs, ""),
            ("runner", job.spec.runner, ""),
            ("run", job.run_id, ""),
            ("submitted", moment(job.created_at), ""),
        ]

    def _why(self, job: Job) -> str:
        facts = job.find_attempt(job.attempt)
        if facts is None:
            return ""
        if facts.end is not None:
            parts = [facts.end.reason.replace("_", " ")]
            if facts.end.exit_code:
                code = f"exit code {facts.end.exit_code}"
                parts[0] = f"{parts[0]} ({code})" if parts[0] not in {"", "exit code"} else code
            if facts.end.message and facts.end.message != f"exit code {facts.end.exit_code}":
                parts.append(facts.end.message)
            if job.state == "passed":
                return ""
            return ": ".join(part for part in parts if part)
        return facts.current_step

    def _attempts(self, job: Job) -> list[AttemptFacts]:
        return [facts for facts in job.attempts if facts.claim or facts.end]

    def _time_line(self, job: Job, width: int) -> list[Line]:
        attempts = self._attempts(job)
        now = self._store.clock.now()
        begin = job.queued_at or job.created_at or now
        if not attempts:
            waits = f"waiting for {span(now - begin)}" if not job.ended else "never started"
            return [((fit(waits, width), "wait"),)]
        finish = max(facts.finished_at or now for facts in attempts)
        if not job.ended and not job.active:
            finish = now
        total = max(finish - begin, 0.001)
        told = [self._told(facts, now) for facts in attempts[-MAX_ATTEMPTS:]]
        text_width = min(max(len(t) for t in told), max(0, width - 24))
        room = max(8, width - 4 - 1 - text_width - 1)
        lines: list[Line] = []
        before = begin
        for facts, text in zip(attempts[-MAX_ATTEMPTS:], told, strict=True):
            drawn = self._bar(facts, begin, before, total, room, now)
            ink = JOB_INK.get(facts.end.state if facts.end else "running", "busy")
            lines.append(((f"#{facts.number:<3}", "dim"), *drawn, (" ", ""), (fit(text, text_width), ink)))
            before = facts.finished_at or now
        return lines

    def _bar(
        self, facts: AttemptFacts, begin: float, before: float, total: float, room: int, now: float
    ) -> Line:
        """Waiting, preparing and running, each as long as it took."""

        def column(at: float) -> int:
            return max(0, min(room, round((at - begin) / total * room)))

        started = facts.started_at or facts.finished_at or now
        finished = facts.finished_at or now
        running = (
            facts.running_at if facts.running_at is not None else (finished if not facts.end else started)
        )
        if facts.end is not None and facts.running_at is None:
            running = finished if facts.installed else started
        a, b, c, d = column(before), column(started), column(running), column(finished)
        d = max(d, min(room, c + 1))  # whatever happened is seen
        c = min(c, d - 1 if facts.running_at is not None else d)  # what was before gives way
        b = min(b, c)
        a = min(a, b)
        ink = JOB_INK.get(facts.end.state, "busy") if facts.end else "busy"
        return (
            (" " * a, ""),
            ("░" * (b - a), "faint"),
            ("▒" * (c - b), "prep"),
            ("█" * (d - c), ink),
            (" " * (room - d), ""),
        )

    def _told(self, facts: AttemptFacts, now: float) -> str:
        end = facts.end
        place = f"{facts.agent}/{facts.slot}" if facts.agent else "not started"
        parts = [short(place, _PLACE, keep_both=True)]
        started, running = facts.started_at, facts.running_at
        if facts.installed and running is not None and started is not None:
            parts.append(f"install {span(running - started)}")
        if end is not None:
            why = end.reason.replace("_", " ")
            parts.append(f"{word(end.state)}: {why}" if end.state == "errored" and why else word(end.state))
            if end.duration_s:
                parts.append(span(end.duration_s))
            if end.takeovers:
                parts.append(f"{end.takeovers} takeovers")
            passed, failed, skipped, _ = end.cases
            if passed + failed + skipped:
                parts.append(f"{passed}✓ {failed}✗" + (f" {skipped} skipped" if skipped else ""))
        elif started is not None:
            parts.append("running" if running is not None else "preparing")
            parts.append(span(now - (running or started)))
        return " · ".join(parts)
