from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from qgjob.bus.connect import Bus
from qgjob.scheduler.projection.projector import Projector
from qgjob.scheduler.queries.service import QueryService
from qgjob.store.connect import Store
from qgjob.store.reader import Reader
from tests.support.questions import answers, working
from tests.support.wait import wait_for


@pytest.fixture
async def queries(bus: Bus, store: Store) -> AsyncIterator[QueryService]:
    """The service, and nobody who projects."""
    service = QueryService(bus, Reader(store), lambda: None)
    async with working(service):
        await wait_for(lambda: answers(bus))
        yield service


@pytest.fixture
async def projected(bus: Bus, store: Store, queries: QueryService) -> AsyncIterator[Projector]:
    """A projector beside the service."""
    projector = Projector(bus, store, look_every_s=0.1)
    async with working(projector):
        await wait_for(lambda: projector.position.seq >= 0)
        yield projector
