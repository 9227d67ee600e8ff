"""What is brought to a machine leaves some of its disk to the tests that run there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.errors import FetchError
from agent.storage import room
from agent.storage.cache import BlobCache
from agent.storage.files import JobFiles
from bus_schemas.jobs import BlobRef
from bus_schemas.streams import BUNDLE_OBJECTS
from qgjob.bundle import build_bundle, collect_tests
from qgjob.bus.connect import Bus
from qgjob.bus.objects import put_file
from tests.support.blobs import Source
from tests.support.runs import planned

_EVERYTHING = 1 << 60


async def unheard(_: str) -> None:
    pass


@pytest.mark.parametrize("full", ["before it is fetched", "before it is unpacked"])
async def test_a_bundle_for_which_there_is_no_room_is_the_machines_trouble_and_says_so(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    (tmp_path / "t.sh").write_text("exit 0")
    packed = build_bundle(collect_tests(["t.sh"], tmp_path), tmp_path / "packed", None)
    await put_file(bus, BUNDLE_OBJECTS, packed.path, packed.sha256)
    ref = BlobRef(digest=packed.sha256, size=packed.size)
    spec = planned(1, runner="command", bundle=ref).specs[0]
    files = JobFiles(bus, tmp_path / "cache", needs_build=False)
    files.open()
    if full == "before it is unpacked":
        await files.unpack_bundle(spec, tmp_path / "first", unheard)
        (masters,) = (tmp_path / "cache").rglob("masters")
        for master in masters.iterdir():  # it is to be unpacked once more
            room_taker = master.rename(tmp_path / "gone")
            assert room_taker.exists()
    monkeypatch.setattr(room, "MIN_FREE_BYTES", _EVERYTHING)
    with pytest.raises(FetchError, match="would leave less than") as caught:
        await files.unpack_bundle(spec, tmp_path / "copy", unheard)
    assert (caught.value.reason, caught.value.retryable) == ("disk_full", True)
    assert not (tmp_path / "copy").exists()
    assert not [*(tmp_path / "cache").rglob("*.part"), *(tmp_path / "cache").rglob("incoming/*")]
    monkeypatch.undo()
    await files.unpack_bundle(spec, tmp_path / "copy", unheard)
    assert (tmp_path / "copy" / "t.sh").read_text() == "exit 0"


async def test_what_nobody_uses_makes_room(source: Source, tmp_path: Path) -> None:
    old, used, new = (source.add(bytes([number]) * 100) for number in range(3))

    async def fetch(digest: str, path: Path, progress: object) -> None:
        taken = sum(blob.stat().st_size for blob in (tmp_path / "cache").glob("??/*"))
        if taken > 100:
            room.require_room(tmp_path, _EVERYTHING)
        path.write_bytes(source.blobs[digest])

    cache = BlobCache(tmp_path / "cache", fetch)
    async with cache.hold(old):
        pass
    async with cache.hold(used) as kept, asyncio.timeout(20):
        async with cache.hold(new) as path:
            assert path.read_bytes() == source.blobs[new]
        assert kept.exists()
        assert not (tmp_path / "cache" / old[:2] / old).exists()
