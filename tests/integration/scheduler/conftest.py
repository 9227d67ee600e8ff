from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from qgjob.store.connect import Store, open_store
from tests.support.servers import ValkeyServer


@pytest.fixture
async def store(valkey_server: ValkeyServer) -> AsyncIterator[Store]:
    """A store of this test's own."""
    async with open_store(valkey_server.url) as opened:
        yield opened
