"""Jobs that ended before they started: of many the output says how many, or it would hide what failed."""

from __future__ import annotations

from typing import Final

from bus_schemas.queries import JobView
from qgjob.cli.display.render import why

AT_MOST: Final = 10
"""So many of one kind have a line each."""
_STATES: Final = frozenset({"cancelled", "expired"})


def kind_of(job: JobView) -> tuple[str, str] | None:
    """State and reason of a job that never started; None for any other."""
    started = any(attempt.started_at is not None for attempt in job.attempts)
    return None if started or job.state not in _STATES else (job.state, why(job))
