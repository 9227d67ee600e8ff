from __future__ import annotations

import io
import re
from typing import cast

import pytest

from bus_schemas.events import Attempt
from bus_schemas.queries import JobView
from qgjob.cli.display.output import Output
from qgjob.cli.waiting.ending import print_end
from qgjob.cli.waiting.progress import HEARTBEAT_S, DrawnProgress, PlainProgress, progress_for
from qgjob.client.models import Waited
from qgjob.client.watching.watch import Watch
from tests.support.clock import ManualClock
from tests.support.views import view


class Seen:
    """What a progress reads of a watch."""

    def __init__(
        self,
        *jobs: JobView,
        size: int | None = None,
        problem: str | None = None,
        held: str | None = None,
    ) -> None:
        self.jobs = jobs
        self.size = size or len(jobs)
        self.problem = problem
        self.held = held


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(progress: PlainProgress | DrawnProgress, seen: Seen) -> None:
    progress(cast("Watch", seen))


PASSED = view(
    state="passed",
    attempts=(Attempt(number=1, agent="a", slot="s", outcome="passed", duration_s=1.25),),
)
OTHER = view(job_id="j_2", test="b\x1b[2J.py", state="running")


def test_a_log_gets_one_line_for_each_end():
    stderr = io.StringIO()
    progress = PlainProgress(Output(io.StringIO(), stderr), ManualClock())
    show(progress, Seen(view(), OTHER))
    for _ in range(3):
        show(progress, Seen(PASSED, OTHER))
    assert stderr.getvalue() == "[1/2] passed    tests/a.py  (1.2s, a/s)\n"


def test_of_many_jobs_that_never_started_a_log_gets_ten():
    stdout, stderr = io.StringIO(), io.StringIO()
    out = Output(stdout, stderr)
    many = tuple(
        view(job_id=f"j_{number}", test=f"{number}.py", state="cancelled", message="fail-fast: a.py failed")
        for number in range(300)
    )
    failed = view(job_id="j_f", test="f.py", state="failed", attempts=(Attempt(number=1, outcome="failed"),))
    progress = PlainProgress(out, ManualClock())
    for count in (5, 11, 300):
        show(progress, Seen(failed, *many[:count], size=301))
    lines = stderr.getvalue().splitlines()
    assert len(lines) == 12
    assert lines[-2].startswith("[11/301] cancelled 9.py")
    assert lines[-1] == "… more that had not started were cancelled (fail-fast: a.py failed)"
    print_end(out, Waited(id="r_1", run=None, jobs=(*many, failed)), None, as_json=False, timeout_s=None)
    assert stdout.getvalue().splitlines() == [
        "cancelled 300 jobs that had not started · fail-fast: a.py failed",
        "failed j_f f.py",
        "r_1 failed: 1 failed, 300 cancelled",
    ]


def test_a_log_hears_something_now_and_then():
    stderr, clock = io.StringIO(), ManualClock()
    progress = PlainProgress(Output(io.StringIO(), stderr), clock)
    for _ in range(10):
        clock.advance(HEARTBEAT_S / 2)
        show(progress, Seen(view(), OTHER))
    lines = stderr.getvalue().splitlines()
    assert len(lines) == 5
    assert "1 running, 1 queued" in lines[0]


def lacking(job_id: str, slot: str, **changes: object) -> JobView:
    tried = Attempt(
        number=1,
        agent="lab",
        slot=slot,
        outcome="errored",
        reason="tool_missing",
        message="this machine has no Maestro",
    )
    return view(job_id=job_id, attempts=(tried,), **changes)


def test_what_a_slot_lacks_is_said_once_for_each_slot():
    stderr = io.StringIO()
    progress = PlainProgress(Output(io.StringIO(), stderr), ManualClock())
    for _ in range(2):
        show(progress, Seen(lacking("j_1", "s0"), lacking("j_2", "s0"), lacking("j_3", "s1")))
    assert stderr.getvalue().splitlines() == [
        f"lab/{slot} could not run tests/a.py: this machine has no Maestro. "
        "It is tried again, elsewhere if possible."
        for slot in ("s0", "s1")
    ]


def test_each_slot_that_was_tried_is_said_though_all_of_it_is_seen_at_once():
    stderr = io.StringIO()
    progress = PlainProgress(Output(io.StringIO(), stderr), ManualClock())
    tries = [lacking("j_1", slot).attempts[0] for slot in ("s0", "s1", "s2")]
    ended = view(state="errored", message="this machine has no Maestro", attempts=tuple(tries))
    show(progress, Seen(ended))
    lines = stderr.getvalue().splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["lab/s0", "lab/s1", "[1/1]"]


def test_of_a_job_that_ended_so_only_the_end_is_said():
    stderr = io.StringIO()
    progress = PlainProgress(Output(io.StringIO(), stderr), ManualClock())
    show(progress, Seen(lacking("j_1", "s0", state="errored", message="this machine has no Maestro")))
    (line,) = stderr.getvalue().splitlines()
    assert line.startswith("[1/1] errored")


def test_that_a_build_is_held_is_said_when_it_begins_and_ends():
    stderr = io.StringIO()
    progress = PlainProgress(Output(io.StringIO(), stderr), ManualClock())
    for held in (None, "Nothing of it starts until noon.", "Nothing of it starts until noon.", None):
        show(progress, Seen(view(), held=held))
    assert stderr.getvalue() == "Nothing of it starts until noon.\nIt is held no more.\n"


def test_a_drawing_keeps_what_a_slot_lacks_in_sight():
    stderr = Terminal()
    with DrawnProgress(Output(io.StringIO(), stderr), ManualClock()) as progress:
        show(progress, Seen(lacking("j_1", "s0"), held="Nothing of it starts."))
    assert "lab/s0 could not run tests/a.py: this machine has no Maestro." in stderr.getvalue()


def test_trouble_is_said_when_it_begins_and_ends():
    stderr = io.StringIO()
    progress = PlainProgress(Output(io.StringIO(), stderr), ManualClock())
    for problem in (None, "Nobody answers.", "Nobody answers.", None):
        show(progress, Seen(view(), problem=problem))
    assert stderr.getvalue() == "Nobody answers. Waiting for it.\nIt answers again.\n"


def test_a_terminal_gets_a_drawing_that_goes_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    stderr = Terminal()
    out = Output(io.StringIO(), stderr)
    progress = progress_for(out, ManualClock())
    assert isinstance(progress, DrawnProgress)
    with progress:
        show(progress, Seen(PASSED, OTHER, size=3, problem="Nobody answers."))
    drawn = stderr.getvalue()
    assert "1/3" in drawn
    assert "tests/a.py" in drawn
    assert "\x1b[2J.py" not in drawn
    assert "Nobody answers." in drawn


def test_a_low_terminal_keeps_the_bar_in_sight_and_failures_stay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LINES", "10")
    clock, stderr = ManualClock(), Terminal()
    ended = [view(job_id=f"j_{n}", test=f"p{n}", state="passed" if n else "timed_out") for n in range(9)]
    since = Attempt(number=1, agent="a", slot="s", running_at=clock.now())
    working = [view(job_id=f"k_{n}", test=f"w{n}", state="running", attempts=(since,)) for n in range(9)]
    with progress_for(Output(io.StringIO(), stderr), clock) as progress:
        assert isinstance(progress, DrawnProgress)
        stderr.truncate(0)
        clock.advance(75)
        show(progress, Seen(*ended, *working))
    *_, last = stderr.getvalue().split("━" * 10, 1)[0].split("\x1b[1A")  # the last drawing, down to its bar
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last)
    assert "timed out p0" in plain
    assert "w2  a/s  1m15s" in plain
    assert "… and 6 more at work" in plain
    assert len(plain.splitlines()) < 10


def test_without_a_terminal_lines_are_plain(monkeypatch: pytest.MonkeyPatch):
    assert isinstance(progress_for(Output(io.StringIO(), io.StringIO()), ManualClock()), PlainProgress)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_for(Output(io.StringIO(), Terminal()), ManualClock()), PlainProgress)
