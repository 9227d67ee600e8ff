"""What is wrong with the store is said in one sentence, and never with its password."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

from qgjob.errors import UsageError
from qgjob.local.ports import free_port
from qgjob.store import connect
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


@pytest.mark.parametrize("closing", ["fails", "hangs"])
async def test_a_replica_is_named_although_its_connections_cannot_be_closed(
    closing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def disconnect(**_: object) -> None:
        if closing == "fails":
            raise RedisConnectionError("Connection reset by peer")
        await asyncio.Event().wait()

    monkeypatch.setattr(connect, "_CONNECT_S", 0.01)
    async with open_store(f"redis://127.0.0.1:{free_port('127.0.0.1')}/0") as store:
        monkeypatch.setattr(store.client.connection_pool, "disconnect", disconnect)
        with pytest.raises(StoreUnavailableError, match="a read-only replica now"):
            async with asyncio.timeout(10), store.asking():
                raise ReadOnlyError("READONLY You can't write against a read only replica.")
        monkeypatch.undo()
