"""A play of the lab on a real nats-server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from qgjob.bus.connect import ServerOptions, connect
from tests.support.lab.model import LabModel
from tests.support.lab.service import LabService
from tests.support.servers import NatsServer


@pytest.fixture
async def lab(nats_server: NatsServer) -> AsyncIterator[LabService]:
    """The stand-in for scheduler and agents, a minute into the play."""
    bus = await connect(ServerOptions(url=nats_server.url, name="lab"))
    service = LabService(bus, LabModel(seed=6, mean_test_s=10, install_s=3))
    await service.open()
    await service.publish(service.model.play(60, keep_waiting=30))
    yield service
    await bus.close()
