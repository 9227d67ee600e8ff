"""Questions about one job, whose answers are read in a box."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Final

from bus_schemas.cases import CaseReport
from bus_schemas.events import Attempt
from bus_schemas.queries import RunView
from qgjob.client import Client
from qgjob.domain.wording import show_size
from qgjob.errors import QgjobError
from tui.draw.clean import clean
from tui.draw.spans import Line, fit
from tui.draw.states import JOB_INK, word
from tui.draw.times import span
from tui.screens.reading import Text
from tui.widgets.explanation import explanation

_OUTCOME_ORDER: Final = ("failed", "errored", "passed", "skipped")
_CASE_INK: Final = {"failed": "bad", "errored": "lab", "passed": "good", "skipped": "dim"}
_CASE_GLYPH: Final = {"failed": "✗", "errored": "!", "passed": "✓", "skipped": "–"}
_MAX_CASES: Final = 500
_MAX_MESSAGE_LINES: Final = 4
_MAX_REPORTS: Final = 5
"""Of more attempts the reports of the last ones are read."""


async def load_run_summaries(client: Client, run_ids: Sequence[str]) -> list[RunView]:
    """What is known of runs, with one job at most; those of which nothing can be learnt are left out."""
    answers = await asyncio.gather(*map(client.run_in_short, run_ids), return_exceptions=True)
    return [answer for answer in answers if isinstance(answer, RunView)]


async def load_explanation(client: Client, job_id: str) -> Text:
    """Why the job is where it is; raises what the client does."""
    answer = await client.explain(job_id)
    return lambda width: explanation(answer, width)


async def load_report(client: Client, job_id: str) -> Text:
    """What the attempts found and left; raises what the client does."""
    view = await client.job(job_id)
    reports: dict[int, CaseReport] = {}
    for attempt in view.attempts[-_MAX_REPORTS:]:
        with contextlib.suppress(QgjobError):  # it is kept for a time only; the counts stay
            if (report := await client.cases(attempt)) is not None:
                reports[attempt.number] = report
    return lambda width: _attempt_lines(view.job_id, view.attempts, reports, width)


def _attempt_lines(
    job_id: str, attempts: Sequence[Attempt], reports: Mapping[int, CaseReport], width: int
) -> list[Line]:
    lines: list[Line] = []
    for attempt in attempts:
        state = attempt.outcome or "running"
        lines.append(
            (
                (f"#{attempt.number} ", "dim"),
                (f"{word(state)} ", f"bold {JOB_INK.get(state, 'busy')}"),
                (fit(f"{attempt.agent or '-'}/{attempt.slot or '-'}", 30), "dim"),
                (span(attempt.duration_s), ""),
            )
        )
        if attempt.message:
            said = wrap(clean(" ".join(attempt.message.split())), max(10, width - 3))
            lines += [(("   ", ""), (line, "bad-soft")) for line in said]
        cases = attempt.cases
        if cases is not None:
            lines.append(
                (
                    ("   cases: ", "dim"),
                    (f"{cases.passed} passed  ", "good"),
                    (f"{cases.failed} failed  ", "bad" if cases.failed else "dim"),
                    (f"{cases.flaky} flaky  ", "prep" if cases.flaky else "dim"),
                    (f"{cases.skipped} skipped", "dim"),
                )
            )
        if attempt.number in reports:
            lines += _case_lines(reports[attempt.number], width)
        lines += [
            (
                ("   ", ""),
                (fit(artifact.name, max(10, width - 16), keep_end=True), ""),
                (fit(show_size(artifact.blob.size), 12, right=True), "dim"),
            )
            for artifact in attempt.artifacts
        ]
        if attempt.cases is None and not attempt.artifacts and not attempt.artifacts_left_out:
            lines.append((("   no report of cases, and nothing was left", "dim"),))
        if attempt.artifacts_left_out:
            lines.append(((f"   … and {attempt.artifacts_left_out} more, over the limit", "dim"),))
        lines.append(())
    if any(attempt.artifacts for attempt in attempts):
        lines.append(((f"$ qgjob artifacts {clean(job_id)} --download DIR", "good"),))
    return lines or [(("No attempt of it has begun.", "dim"),)]


def _case_lines(report: CaseReport, width: int) -> list[Line]:
    """The cases, those first that did not simply pass, with what they said."""
    ordered = sorted(report.cases, key=lambda case: (_OUTCOME_ORDER.index(case.outcome), not case.flaky))
    lines: list[Line] = []
    for case in ordered[:_MAX_CASES]:
        ink = "prep" if case.flaky else _CASE_INK[case.outcome]
        name = f"{case.suite} › {case.name}" if case.suite else case.name
        lines.append(
            (
                (f"   {_CASE_GLYPH[case.outcome]} ", ink),
                (fit(name, max(10, width - 13)), ink if case.outcome != "passed" or case.flaky else "dim"),
                (fit(span(case.duration_s), 7, right=True), "dim"),
            )
        )
        said = (case.message or "").splitlines()[:_MAX_MESSAGE_LINES]
        lines += [(("     ", ""), (fit(line, max(10, width - 5)), "bad-soft")) for line in said]
    more = len(report.cases) - len(ordered[:_MAX_CASES]) + report.left_out
    if more:
        lines.append(((f"   … and {more:,} more cases", "dim"),))
    return lines
