"""What is wrong with the store is said in one sentence, and never with its password."""

from __future__ import annotations

import pytest

from qgjob.errors import UsageError
from qgjob.local.ports import free_port
from qgjob.store.connect import Store, StoreUnavailableError, open_store


@pytest.mark.parametrize(
    "url",
    ["", "localhost:6379", "http://localhost", "redis://", "redis://:secret@host:port/0", "redis://[::1"],
)
def test_an_address_that_cannot_be_one(url: str) -> None:
    with pytest.raises(UsageError, match=r"Redis|REDIS_URL") as error:
        Store.open(url)
    assert "secret" not in str(error.value)


async def test_nobody_listens() -> None:
    async with open_store(f"redis://:secret@127.0.0.1:{free_port('127.0.0.1')}/0") as store:
        with pytest.raises(StoreUnavailableError, match="Cannot reach the store at redis://:…@127") as error:
            await store.ping()
    assert "\n" not in error.value.message
    assert "secret" not in error.value.message
