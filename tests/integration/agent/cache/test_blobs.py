"""The blob cache, on a real disk: each blob is fetched once, whoever asks for it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from agent.errors import FetchError
from agent.storage.cache import BlobCache
from agent.storage.transfer import Transferred
from tests.support.blobs import Source
from tests.support.wait import wait_for


@pytest.fixture
def cache(source: Source, tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "cache", source.fetch, limit_bytes=1000)


async def read(cache: BlobCache, digest: str) -> bytes:
    async with cache.hold(digest) as path:
        return path.read_bytes()


async def test_a_blob_is_fetched_once(cache: BlobCache, source: Source, tmp_path: Path):
    digest = source.add(b"x")
    assert [await read(cache, digest) for _ in range(3)] == [b"x"] * 3
    again = BlobCache(tmp_path / "cache", source.fetch)
    assert await read(again, digest) == b"x"
    assert source.fetched == [digest]


async def test_many_that_ask_at_once_wait_for_one_fetch(cache: BlobCache, source: Source):
    digest = source.add(b"x")
    source.gate = asyncio.Event()
    readers = [asyncio.create_task(read(cache, digest)) for _ in range(10)]
    await asyncio.sleep(0)
    readers[0].cancel()
    await asyncio.sleep(0)
    source.gate.set()
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(results[0]), *results[1:]] == [asyncio.CancelledError, *[b"x"] * 9]
    assert source.fetched == [digest]


async def test_all_who_wait_hear_how_far_it_is_and_who_came_later_what_is_left(
    cache: BlobCache, source: Source
):
    digest = source.add(b"12345")
    source.gate = asyncio.Event()
    heard: list[list[tuple[int, int]]] = [[], [], []]

    async def wait(listener: int) -> None:
        async with cache.hold(digest, lambda done, total: heard[listener].append((done, total))):
            pass

    first = asyncio.create_task(wait(0))
    await wait_for(lambda: heard[0])
    others = [asyncio.create_task(wait(1)), asyncio.create_task(wait(2))]
    await asyncio.sleep(0)
    others[1].cancel()
    await asyncio.gather(others[1], return_exceptions=True)
    source.gate.set()
    await asyncio.gather(first, others[0])
    assert heard == [[(0, 5), (5, 5)], [(5, 5)], []]


async def test_when_nobody_waits_any_more_the_fetch_ends(cache: BlobCache, source: Source, tmp_path: Path):
    digest = source.add(b"x")
    source.gate = asyncio.Event()
    reader = asyncio.create_task(read(cache, digest))
    await wait_for(lambda: source.fetched)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await asyncio.sleep(0)
    source.gate.set()
    assert await read(cache, digest) == b"x"
    assert source.fetched == [digest, digest]


async def test_who_asks_while_a_fetch_is_being_ended_gets_one_of_his_own(source: Source, tmp_path: Path):
    digest = source.add(b"x")
    source.gate, ending, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def fetch(digest: str, path: Path, progress: Transferred) -> None:
        try:
            await source.fetch(digest, path, progress)
        except asyncio.CancelledError:
            ending.set()
            await ended.wait()
            raise

    cache = BlobCache(tmp_path / "cache", fetch)
    first = asyncio.create_task(read(cache, digest))
    await wait_for(lambda: source.fetched)
    first.cancel()
    await ending.wait()
    second = asyncio.create_task(read(cache, digest))
    await asyncio.sleep(0)  # it runs up to where it waits for bytes
    source.gate.set()
    ended.set()
    assert await second == b"x"


async def test_other_bytes_are_refused_and_not_kept(cache: BlobCache, source: Source, tmp_path: Path):
    digest = source.add(b"x")
    source.blobs[digest] = b"y"
    with pytest.raises(FetchError, match="not what was asked for") as caught:
        await read(cache, digest)
    assert caught.value.retryable
    source.blobs[digest] = b"x"
    assert await read(cache, digest) == b"x"
    assert not list((tmp_path / "cache/incoming").iterdir())


async def test_a_blob_that_was_changed_on_the_disk_is_fetched_again(
    cache: BlobCache, source: Source, tmp_path: Path
):
    digest = source.add(b"x")
    assert await read(cache, digest) == b"x"
    (path,) = (tmp_path / "cache").glob("??/*")
    path.write_bytes(b"y")
    assert await read(cache, digest) == b"x"
    assert source.fetched == [digest, digest]


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
async def test_what_is_no_digest_is_refused(cache: BlobCache, source: Source, digest: str):
    with pytest.raises(FetchError, match="not a SHA-256"):
        await read(cache, digest)
    assert not source.fetched


async def test_the_least_recently_used_go_but_none_in_use(cache: BlobCache, source: Source, tmp_path: Path):
    digests = [source.add(bytes([n]) * 300) for n in range(5)]
    async with cache.hold(digests[0]):
        for age, digest in enumerate(digests[1:]):
            async with cache.hold(digest) as path:
                pass
            os.utime(path, (age, age))
        kept = {path.name for path in (tmp_path / "cache").glob("??/*")}
    assert kept == {digests[0], digests[3], digests[4]}
