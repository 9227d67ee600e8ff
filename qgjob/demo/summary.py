"""The text at the end of the demo: the drawings, the table, the failures, what to try next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qgjob.demo.drawing import Palette, cell_seconds, chart
from qgjob.demo.plan import INSTALL_SECONDS, ORG, Plan
from qgjob.demo.report import Report
from qgjob.domain.wording import pluralize

if TYPE_CHECKING:
    from rich.text import Text

MARGIN: Final = 6
PHONE_INSTALL_S: Final = 20.0
"""A usual install on a phone, for the comparison; seconds."""


def charts(plan: Plan, report: Report, *, width: int, colour: bool) -> Text:
    """What the slots did, and below it what they would have done, on one scale."""
    from rich.text import Text

    palette = Palette(plan.versions, colour=colour)
    seconds = max(report.seconds, report.seconds_first_come)
    columns = max(width - MARGIN, 20)
    per_cell_s = cell_seconds(seconds, columns)
    own_title = f"qgjob: {report.total.installs} installs, {report.seconds:.1f} s"
    fcfs_title = (
        f"the same jobs first come, first served: {report.replay.total_installs} installs, "
        f"{report.seconds_first_come:.1f} s"
    )
    text = Text(no_wrap=True)
    for title, spans in ((own_title, report.spans), (fcfs_title, report.replay.spans)):
        drawn = chart(title, spans, palette, began=report.began, per_cell_s=per_cell_s, width=columns)
        text.append(drawn).append("\n")
    return text.append("     ").append(palette.legend()).append(f"   a character is {per_cell_s:g} s")


def table(report: Report) -> tuple[list[str], list[list[str]]]:
    """The columns and rows of the table."""
    columns = [*report.builds, report.total]
    rows = [
        ["jobs", *(str(build.jobs) for build in columns)],
        ["passed", *(str(build.passed) for build in columns)],
        ["failed", *(str(build.failed) for build in columns)],
    ]
    if report.total.other:
        rows.append(["other ends", *(str(build.other) for build in columns)])
    rows += [
        ["installs made", *(str(build.installs) for build in columns)],
        ["first come would make", *(str(build.installs_first_come) for build in columns)],
    ]
    return ["", *(build.version for build in columns)], rows


def failure_lines(report: Report) -> list[str]:
    """The failures, each with its assertion."""
    lines: list[str] = []
    for version in dict.fromkeys(failure.version for failure in report.failures):
        of_version = [failure for failure in report.failures if failure.version == version]
        lines.append(
            f"{version} has a bug: {pluralize(len(of_version), 'test')} of it failed that other builds pass"
        )
        for failure in of_version:
            lines += [f"  {failure.test}", f"    {failure.line}"]
    return lines


def timing_lines(report: Report) -> list[str]:
    """Time, and what the installs would mean on phones."""
    installs, fcfs_installs = report.total.installs, report.total.installs_first_come
    saved = (fcfs_installs - installs) * PHONE_INSTALL_S / 60
    took, first_come_took, install = report.seconds, report.seconds_first_come, report.install_s
    return [
        f"{took:.1f} s from the first job to the last end; first come, first served {first_come_took:.1f} s",
        f"an install took {install:.1f} s here, {INSTALL_SECONDS:g} s of that in place of a phone's;",
        f"at {PHONE_INSTALL_S:g} s an install, {saved:.0f} minutes of phone time are saved",
    ]


def next_steps(plan: Plan, cwd: Path, program: str = "qgjob") -> list[tuple[str, str]]:
    """Commands to try, with what they are for; `program`: how this qgjob is called."""
    root, build = _shown(plan.root, cwd), _shown(plan.build(plan.versions[-1]), cwd)
    of = f"--org-id {ORG} --app-version-id {plan.versions[-1]}"
    return [
        (f"{program} up", "all of it, until Ctrl-C; then in another terminal:"),
        (f"{program} app upload {shlex.quote(build)} {of}", ""),
        (f"{program} submit {of} --test {shlex.quote(root + '/tests')} --runner command --wait", ""),
        (f"{program} tui", "watch it live"),
    ]


def own_program(cwd: Path) -> str:
    """How this qgjob is called from here: by its name when that finds it, else by its path."""
    own = Path(sys.executable).with_name("qgjob")
    on_path = shutil.which("qgjob")
    if not own.exists() or (on_path and Path(on_path).resolve() == own.resolve()):
        return "qgjob"
    return shlex.quote(_shown(own, cwd))


def format_steps(steps: Sequence[tuple[str, str]]) -> list[str]:
    """Commands in lines, the words for people behind them."""
    return [f"  {command}" + (f"   # {what}" if what else "") for command, what in steps]


def _shown(path: Path, cwd: Path) -> str:
    """A path as short as it can be from here."""
    relative = os.path.relpath(path, cwd)
    return str(path) if relative.startswith("..") else relative
