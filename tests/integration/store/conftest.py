from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from qgjob.store.connect import Store, open_store
from qgjob.store.keys import Keys
from tests.support.servers import ValkeyServer


@pytest.fixture
async def store(shared_valkey: ValkeyServer) -> AsyncIterator[Store]:
    """A store of this test's own: its keys have a prefix that nobody else's have."""
    async with open_store(shared_valkey.url, keys=Keys(f"{secrets.token_hex(4)}*[:")) as opened:
        yield opened
