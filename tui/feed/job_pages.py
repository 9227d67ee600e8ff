"""Reads a list of jobs in pages that are as large as the link carries in a second.

A slow link would carry a page of fixed size for longer than an answer is waited for: it would be asked for
again, and the link be busier still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bus_schemas.queries import JobState
from qgjob.client.requests import query
from qgjob.client.requests.request import ANSWER_TIMEOUT_S

if TYPE_CHECKING:
    from bus_schemas.queries import JobView
    from qgjob.client import Client

FIRST_PAGE: Final = 100
_LARGEST: Final = 500
_SMALLEST: Final = 20
_PAGE_S: Final = 1.0
MAX_JOBS: Final = 100_000
"""No more are read; older ones come in when something happens to them."""


class Pace:
    """How large the next page is, by how long the last one took."""

    def __init__(self, lag_s: Callable[[], float]) -> None:
        self._lag_s = lag_s
        """How long what comes was on its way."""
        self.size = FIRST_PAGE

    @property
    def slow(self) -> bool:
        """Whether a first page was too much for a second."""
        return self.size < FIRST_PAGE

    @property
    def timeout_s(self) -> float:
        """How long to wait for a page: it comes behind everything that the server has for us already."""
        return ANSWER_TIMEOUT_S + self._lag_s()

    def record(self, asked: int, came: int, took_s: float) -> None:
        """A page came; of a short one only that it took long tells something."""
        if came == asked or took_s > _PAGE_S:
            fits = round(asked * _PAGE_S / max(took_s, 1e-3))
            self.size = max(_SMALLEST, min(_LARGEST, fits))


class JobPages:
    """The jobs in a state, or all of them, newest first: `next` until it is `done`."""

    def __init__(self, client: Client, pace: Pace, state: JobState | None = None) -> None:
        self._client = client
        self._pace = pace
        self._state: JobState | None = state
        self._read = 0
        self.done = False
        self.as_of: int | None = None
        """Every event up to this place is in what was read; None: nobody says."""

    async def next(self) -> list[JobView]:
        """The next page."""
        size, loop = self._pace.size, asyncio.get_running_loop()
        began = loop.time()
        answer = await query.page_of_jobs(
            self._client.bus, self._state, limit=size, offset=self._read, timeout=self._pace.timeout_s
        )
        views = list(answer.jobs)
        self._pace.record(size, len(views), loop.time() - began)
        self._read += len(views)
        self.done = not views or self._read >= MAX_JOBS or not (answer.more or len(views) == size)
        if answer.as_of is not None:
            self.as_of = answer.as_of if self.as_of is None else min(self.as_of, answer.as_of)
        return views
