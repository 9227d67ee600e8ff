"""One message of every kind, with every field that matters filled in; by area."""

from __future__ import annotations

from bus_schemas.base import Message
from tests.support.samples.events import EVENTS
from tests.support.samples.jobs import JOBS
from tests.support.samples.lab import LAB
from tests.support.samples.requests import REQUESTS
from tests.support.samples.views import VIEWS

SAMPLES: tuple[Message, ...] = (*JOBS, *EVENTS, *LAB, *REQUESTS, *VIEWS)
