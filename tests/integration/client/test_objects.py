from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from pathlib import Path

import pytest

from bus_schemas import streams
from bus_schemas.jobs import BlobRef
from bus_schemas.streams import ARTIFACT_OBJECTS
from bus_schemas.streams import BUNDLE_OBJECTS as BUCKET
from qgjob.bus import objects
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.direct import read_all
from qgjob.client import Client
from qgjob.errors import NotFoundError, RefusedError, UnreachableError
from tests.support.proxy import Proxy
from tests.support.servers import NatsServer
from tests.support.wait import wait_for


def make_file(folder: Path, size: int) -> tuple[Path, str]:
    path = folder / f"file-{size}"
    path.write_bytes(os.urandom(size))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "size", [0, 1, objects.CHUNK_BYTES, objects.CHUNK_BYTES + 1, 9 * 2**20 + 7], ids=lambda size: f"{size}B"
)
async def test_a_file_comes_back_as_it_was(client: Client, folder: Path, size: int):
    path, digest = make_file(folder, size)
    assert not await objects.stat(client.bus, BUCKET, digest)
    seen: list[tuple[int, int]] = []
    await objects.put_file(
        client.bus, BUCKET, path, digest, progress=lambda done, total: seen.append((done, total))
    )
    assert await objects.stat(client.bus, BUCKET, digest)
    assert seen[-1] == (size, size)
    seen.clear()
    got = await objects.get_file(
        client.bus, BUCKET, digest, folder / "copy", progress=lambda done, total: seen.append((done, total))
    )
    assert got == size
    assert (folder / "copy").read_bytes() == path.read_bytes()
    assert seen == sorted(seen)
    assert {item.name for item in folder.iterdir()} == {path.name, "copy"}


async def test_any_client_of_the_object_store_can_read_it(client: Client, folder: Path):
    path, digest = make_file(folder, 300_000)
    await objects.put_file(client.bus, BUCKET, path, digest)
    store = await client.bus.nc.jetstream().object_store(BUCKET)
    assert (await store.get(digest)).data == path.read_bytes()


async def test_a_store_that_is_full_is_not_taken_for_one_that_is_not_there(tmp_path: Path, folder: Path):
    config = tmp_path / "nats.conf"
    config.write_text("jetstream { max_file_store: 1MB }\nmax_payload: 8MB\n")
    server = NatsServer(tmp_path / "nats", config=config)
    path, digest = make_file(folder, 3 * 2**20)
    try:
        await server.start()
        async with open_bus(ServerOptions(server.url)) as bus:
            bucket = streams.object_bucket(BUCKET)
            await bus.requests.api(f"STREAM.CREATE.{bucket['name']}", bucket)
            with pytest.raises(UnreachableError, match="does not take it") as caught:
                await objects.put_file(bus, BUCKET, path, digest)
        assert "max_file_store" in (caught.value.hint or "")
    finally:
        server.kill()


async def test_what_is_not_there_is_not_found(client: Client, folder: Path):
    with pytest.raises(NotFoundError):
        await objects.get_file(client.bus, BUCKET, "0" * 64, folder / "copy")
    assert list(folder.iterdir()) == []


async def test_a_store_that_is_not_there_is_said_in_a_sentence(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(objects, "_PAUSE_S", 0.01)
    path, digest = make_file(folder, 10)
    for call in (
        objects.stat(client.bus, "none", digest),
        objects.put_file(client.bus, "none", path, digest),
    ):
        with pytest.raises(UnreachableError, match="no object store none"):
            await call


async def test_a_file_with_another_digest_is_not_stored(client: Client, folder: Path):
    path, _ = make_file(folder, 10)
    with pytest.raises(objects.CorruptObjectError):
        await objects.put_file(client.bus, BUCKET, path, "0" * 64)
    assert not await objects.stat(client.bus, BUCKET, "0" * 64)


async def test_a_file_with_a_lost_or_changed_chunk_is_refused(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(objects, "_PAUSE_S", 0.01)
    path, digest = make_file(folder, 3 * objects.CHUNK_BYTES)
    await objects.put_file(client.bus, BUCKET, path, digest)
    await client.bus.requests.api(f"STREAM.MSG.DELETE.OBJ_{BUCKET}", {"seq": 2})
    with pytest.raises(objects.CorruptObjectError, match="damaged"):
        await objects.get_file(client.bus, BUCKET, digest, folder / "copy")
    assert not (folder / "copy").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"nuid": "*"},
        {"nuid": "a.b"},
        {"size": -1},
        {"digest": "SHA-256=other"},
        {"chunks": "many"},
        {"size": None},
    ],
    ids=str,
)
async def test_metadata_that_make_no_sense_are_refused(
    client: Client, folder: Path, change: dict[str, object]
):
    path, digest = make_file(folder, 10)
    await objects.put_file(client.bus, BUCKET, path, digest)
    stored = await client.bus.requests.api(
        f"STREAM.MSG.GET.OBJ_{BUCKET}", {"last_by_subj": f"$O.{BUCKET}.M.>"}
    )
    meta = json.loads(base64.b64decode(stored["message"]["data"])) | change
    await client.bus.requests.publish(stored["message"]["subject"], json.dumps(meta).encode())
    with pytest.raises(objects.CorruptObjectError):
        await objects.stat(client.bus, BUCKET, digest)


@pytest.mark.parametrize("metadata", [b'{"size": 1e999}', b"[" * 100_000, b"[]", b"\xff", b'{"size": "x"}'])
async def test_metadata_that_cannot_be_read_are_refused(client: Client, folder: Path, metadata: bytes):
    path, digest = make_file(folder, 1000)
    await objects.put_file(client.bus, BUCKET, path, digest)
    name = base64.urlsafe_b64encode(digest.encode()).decode()
    await client.bus.requests.publish(f"$O.{BUCKET}.M.{name}", metadata)
    with pytest.raises(objects.CorruptObjectError, match="cannot be read"):
        await objects.get_file(client.bus, BUCKET, digest, folder / "copy")


async def test_how_large_a_file_is_says_the_store_and_not_who_names_it(client: Client, folder: Path):
    path, digest = make_file(folder, 5000)
    await objects.put_file(client.bus, ARTIFACT_OBJECTS, path, digest)
    named = BlobRef(digest=digest, size=1)
    assert await client.small_file(named, limit=5000) == path.read_bytes()
    with pytest.raises(RefusedError, match="at most 4999"):
        await client.small_file(named, limit=4999)


async def test_a_slow_link_takes_its_time(client: Client, nats_server: NatsServer, folder: Path):
    rate = 2**18
    path, digest = make_file(folder, 6 * rate)  # longer than any single answer is waited for otherwise
    async with (
        Proxy(nats_server.port) as proxy,
        open_bus(ServerOptions(url=proxy.url)) as far,
    ):
        proxy.up_rate = rate
        tries: list[int] = []
        await objects.put_file(far, BUCKET, path, digest, progress=lambda done, _: tries.append(done))
        assert tries == sorted(tries), "at the first try"
        proxy.up_rate = 0
    assert await objects.stat(client.bus, BUCKET, digest)


async def test_a_server_that_restarts_in_the_middle_is_sat_out(
    client: Client, nats_server: NatsServer, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(objects, "_ANSWER_TIMEOUT_S", 1.0)
    path, digest = make_file(folder, 20 * 2**20)
    begun = asyncio.Event()

    async def restart() -> None:
        await begun.wait()
        await nats_server.restart()

    async with asyncio.TaskGroup() as group:
        group.create_task(restart())
        await objects.put_file(client.bus, BUCKET, path, digest, progress=lambda _done, _total: begun.set())
    await objects.get_file(client.bus, BUCKET, digest, folder / "copy")
    assert (folder / "copy").read_bytes() == path.read_bytes()


async def chunks(bus: Bus, nuid: str | None) -> set[int]:
    """How large the chunks are that no file has, but for the empty one in their place."""
    kept = f"$O.{BUCKET}.C.{nuid}"
    pages = read_all(bus, f"OBJ_{BUCKET}", f"$O.{BUCKET}.C.>")
    return {len(m.data) for page in [p async for p in pages] for m in page if m.subject != kept} - {0}


async def test_a_file_for_which_there_is_no_room_takes_none_from_the_next(client: Client, folder: Path):
    info = await client.bus.requests.api(f"STREAM.INFO.OBJ_{BUCKET}")
    small = {**info["config"], "max_bytes": 5 * objects.CHUNK_BYTES}
    await client.bus.requests.api(f"STREAM.UPDATE.OBJ_{BUCKET}", small)
    large, digest = make_file(folder, 6 * objects.CHUNK_BYTES)
    with pytest.raises(UnreachableError, match="maximum bytes exceeded"):
        await objects.put_file(client.bus, BUCKET, large, digest)
    fits, digest = make_file(folder, 4 * objects.CHUNK_BYTES)
    await objects.put_file(client.bus, BUCKET, fits, digest)


async def test_an_upload_that_breaks_off_leaves_none_of_its_chunks(
    client: Client, folder: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(objects, "_ANSWER_TIMEOUT_S", 1.0)
    path, digest = make_file(folder, 9 * objects.CHUNK_BYTES)
    async with Proxy(nats_server.port) as proxy, open_bus(ServerOptions(proxy.url)) as bus:
        proxy.up_rate = 8 * objects.CHUNK_BYTES
        storing = asyncio.create_task(objects.put_file(bus, BUCKET, path, digest))
        await wait_for(lambda: chunks(client.bus, None), 20, "the first chunks")
        storing.cancel()

        async def none() -> bool:
            return not await chunks(client.bus, None)

        await wait_for(none, 20, "what was sent to be dropped")
        proxy.up_rate = 0
        proxy.hold(b"PUB $O.", 6)
        storing = asyncio.create_task(objects.put_file(bus, BUCKET, path, digest))
        await asyncio.wait_for(proxy.held.wait(), 20)
        proxy.cut()
        await storing
    stored = await objects.stat(client.bus, BUCKET, digest)
    assert stored is not None
    assert not await chunks(client.bus, stored.nuid)
