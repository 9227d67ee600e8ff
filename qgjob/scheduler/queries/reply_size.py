"""Keep an answer below the largest message that the server takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bus_schemas.base import Message
from bus_schemas.queries import JobView, Overview
from qgjob.domain.wording import shorten

_SHORT_TEXT: Final = 200
_FEW_ATTEMPTS: Final = 5
_LISTS: Final = ("groups", "holds", "builds_held", "pauses", "orgs")


def fit(
    jobs: tuple[JobView, ...], build: Callable[[tuple[JobView, ...], bool], Message], limit: int
) -> bytes:
    """Encode `build(jobs, cut)` in at most `limit` bytes.

    What is too large loses long texts and old attempts first, and then jobs from its end, `cut`
    telling so.
    """
    data = build(jobs, False).encode()
    if len(data) <= limit:
        return data
    jobs = tuple(_shortened(job) for job in jobs)
    data = build(jobs, False).encode()
    while len(data) > limit and jobs:
        keep = min(len(jobs) - 1, len(jobs) * limit // (len(data) + 1))
        jobs = jobs[:keep]
        data = build(jobs, True).encode()
    return data


def fit_overview(overview: Overview, limit: int) -> bytes:
    """Encode an overview in at most `limit` bytes: what it lists is cut until it fits, its numbers stay."""
    data = overview.encode()
    lists = {name: getattr(overview, name) for name in _LISTS}
    shown = max(map(len, lists.values()))
    while len(data) > limit and shown:
        shown //= 2
        data = overview.model_copy(update={name: items[:shown] for name, items in lists.items()}).encode()
    return data


def _shortened(job: JobView) -> JobView:
    attempts = tuple(
        attempt.model_copy(update={"message": _short(attempt.message)})
        for attempt in job.attempts[-_FEW_ATTEMPTS:]
    )
    return job.model_copy(update={"message": _short(job.message), "attempts": attempts})


def _short(text: str | None) -> str | None:
    return text and shorten(text, _SHORT_TEXT)
