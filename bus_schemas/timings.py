"""How long things took in this reign, as histograms: a request to the leader and its answer."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from bus_schemas.base import Answer, Count, Message, Model, Seconds


class TimingsRequest(Message):
    """Asks how long things took (`qg.ctl.timings.any`)."""


class HistogramView(Model):
    """How many took how long: up to each of `bounds`, and the last of `counts` longer than all of them."""

    bounds: tuple[Seconds, ...]
    counts: tuple[Count, ...]
    sum_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _has_all_counts(self) -> Self:
        if len(self.counts) != len(self.bounds) + 1:
            raise ValueError("there must be one more of counts than of bounds")
        return self


class TimingsAnswer(Answer):
    """Since the leader took the lead."""

    waits: dict[str, HistogramView] = Field(default_factory=dict)
    """Of attempts, from when they could start until a slot had them, by class of priority."""
    tests: HistogramView | None = None
    """Of tests that ended, the test itself."""
    installs: HistogramView | None = None
    """Of installs, the download not included."""
    rounds: HistogramView | None = None
    """Of rounds of placement: news taken in, and jobs given to slots."""
