"""What there is to say of one run: names, its metadata, how far it is and what it found."""

from __future__ import annotations

from tui.draw.progress import progress
from tui.draw.spans import Line, fit, pad, short, width_of
from tui.draw.states import JOB_GLYPH, JOB_INK, word
from tui.draw.times import age, count, moment
from tui.store.store import Store
from tui.widgets.canvas import Canvas

_ORDER = (
    "failed",
    "timed_out",
    "errored",
    "passed",
    "running",
    "preparing",
    "dispatched",
    "queued",
    "scheduled",
    "cancelled",
    "expired",
)


class RunCard(Canvas):
    """Four lines about a run."""

    def __init__(self, store: Store, run_id: str, widget_id: str) -> None:
        super().__init__(widget_id)
        self._store = store
        self._run_id = run_id

    def sync(self) -> None:
        """Name the run in the border, and repaint what differs."""
        self.say("Run", self._run_id)
        super().sync()

    def draw(self, width: int, height: int) -> list[Line]:
        """The card."""
        run = self._store.jobs.runs.get(self._run_id)
        if run is None:
            return [((fit(f"{self._run_id} is not known (any more).", width), "dim"),)]
        words: list[tuple[str, str]] = [(short(run.name or run.run_id, min(60, width)), "bold")]
        for label, text in (("build", run.build), ("org", run.org_id)):
            words += [(f"   {label} ", "dim"), (short(text, 30), "")]
        if run.created_at:
            ago = age(max(0.0, self._store.clock.now() - run.created_at))
            room = width - width_of(tuple(words))
            for label, text in (
                ("   submitted ", f"{moment(run.created_at)}, {ago} ago"),
                ("   ", f"{ago} ago"),
            ):
                if len(label) + len(text) <= room:  # half of a time is another time
                    words += [(label, "dim"), (text, "")]
                    break
        counts: list[tuple[str, str]] = [(f"{count(run.ended)} of {count(run.total)} ended   ", "")]
        counts += [
            (f"{JOB_GLYPH[state]} {count(number)} {word(state)}   ", JOB_INK[state])
            for state in _ORDER
            if (number := run.counts.get(state, 0))
        ]
        if run.flaky:
            counts.append((f"{count(run.flaky)} flaky   ", "prep"))
        lines = [pad(tuple(words), width), progress(run.counts, run.total, width), pad(tuple(counts), width)]
        if run.meta:
            said = "   ".join(f"{key}={value}" for key, value in run.meta.items())
            lines.append(((fit(said, width), "dim"),))
        return lines[:height]
