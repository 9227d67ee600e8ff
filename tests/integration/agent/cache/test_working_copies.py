"""Working copies of bundles, on a real disk: each job has its own, as it was submitted."""

from __future__ import annotations

import asyncio
import os
import tarfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ArchiveError
from agent.storage import bundles
from agent.storage.bundles import BundleStore
from agent.storage.cache import BlobCache
from agent.storage.removal import remove_tree
from qgjob.bundle import build_bundle, collect_tests
from tests.support.blobs import Source
from tests.support.wait import wait_for

Bundle = Callable[[dict[str, str]], str]
Store = Callable[..., Awaitable[BundleStore]]


@pytest.fixture
def bundle(source: Source, tmp_path: Path) -> Bundle:
    """Packs files into a blob of the source; `->` in front of a text makes it a link."""

    def make(files: dict[str, str]) -> str:
        root = tmp_path / f"project{len(source.blobs)}"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("->"):
                path.symlink_to(text[2:])
            else:
                path.write_text(text)
        packed = build_bundle(collect_tests(["t.sh"], root), tmp_path / "packed", None)
        return source.add(packed.path.read_bytes())

    return make


@pytest.fixture
def store(source: Source, tmp_path: Path) -> BundleStore:
    cache = BlobCache(tmp_path / "cache", source.fetch)
    store = BundleStore(tmp_path / "bundles", cache, max_masters=2, max_parked=3)
    store.open()
    return store


def tree(root: Path) -> dict[str, str]:
    """Name → content, modes and links, of everything below a folder."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        mode = f"{path.lstat().st_mode:o} "
        if path.is_symlink():
            found[path.relative_to(root).as_posix()] = f"-> {path.readlink()}"
        else:
            found[path.relative_to(root).as_posix()] = mode + ("" if path.is_dir() else path.read_text())
    return found


FILES = {"t.sh": "1", "lib/a": "2", "lib/deep/b": "3", "link": "->lib/a"}


def vandalise(root: Path) -> None:
    (root / "t.sh").write_text("changed")
    (root / "lib/deep/b").unlink()
    (root / "lib/a").chmod(0o000)
    (root / "lib/deep").chmod(0o500)
    (root / "link").unlink()
    (root / "link").symlink_to("/etc/passwd")
    (root / "new/deep").mkdir(parents=True)
    (root / "new/deep/x").write_text("x")
    (root / "new/out").symlink_to("/etc")
    os.mkfifo(root / "new/fifo")
    (root / "new").chmod(0o000)


def replace_folder_by_link(root: Path) -> None:
    (root / "lib").rename(root / "moved")
    (root / "lib").symlink_to("moved")


def replace_file_by_folder(root: Path) -> None:
    (root / "t.sh").unlink()
    (root / "t.sh/x").mkdir(parents=True)
    (root / "lib/a").unlink()
    (root / "lib/a").symlink_to("../t.sh")


def forge_the_time(root: Path) -> None:
    before = (root / "t.sh").stat()
    (root / "t.sh").write_text("8")
    os.utime(root / "t.sh", ns=(before.st_atime_ns, before.st_mtime_ns))


def hard_link(root: Path) -> None:
    os.link(root / "t.sh", root.parent / "kept")


def remove_all(root: Path) -> None:
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.mark.parametrize(
    "damage",
    [vandalise, replace_folder_by_link, replace_file_by_folder, forge_the_time, hard_link, remove_all],
)
async def test_the_next_job_sees_nothing_of_what_the_last_one_did(
    store: BundleStore, bundle: Bundle, tmp_path: Path, damage: Callable[[Path], None]
):
    digest = bundle(FILES)
    first, second, third = (tmp_path / name / "bundle" for name in ("first", "second", "third"))
    await store.check_out(digest, first)
    pristine = tree(first)
    assert [pristine[name][-1] for name in ("t.sh", "lib/a", "lib/deep/b")] == ["1", "2", "3"]
    damage(first)
    await store.check_in(first)
    assert not first.exists()
    await store.check_out(digest, second)
    assert tree(second) == pristine
    damage(second)
    await store.check_in(second)
    await store.check_out(digest, third)
    assert tree(third) == pristine
    (first.parent / "kept").write_text("through the kept link") if damage is hard_link else None
    assert tree(third) == pristine


async def test_copies_share_nothing(store: BundleStore, bundle: Bundle, tmp_path: Path):
    digest = bundle(FILES)
    await asyncio.gather(*(store.check_out(digest, tmp_path / f"job{n}") for n in range(4)))
    inodes = {(tmp_path / f"job{n}/t.sh").stat().st_ino for n in range(4)}
    assert len(inodes) == 4


async def test_a_bundle_is_fetched_and_unpacked_once(
    store: BundleStore, bundle: Bundle, source: Source, tmp_path: Path
):
    digest = bundle(FILES)
    for n in range(3):
        await store.check_out(digest, tmp_path / f"job{n}")
        await store.check_in(tmp_path / f"job{n}")
    assert source.fetched == [digest]
    assert len(list((tmp_path / "bundles/parked").iterdir())) == 1


@pytest.mark.parametrize("step", ["unpack", "_copy_entry"])
async def test_a_job_that_is_cancelled_meanwhile_leaves_its_bundle_usable(
    store: BundleStore, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    begun, go_on = threading.Event(), threading.Event()
    real = getattr(bundles, step)

    def gated(*args: Any, **options: Any) -> None:
        begun.set()
        assert go_on.wait(10)
        real(*args, **options)

    monkeypatch.setattr(bundles, step, gated)
    digest = bundle(FILES)
    cancelled = asyncio.create_task(store.check_out(digest, tmp_path / "job1"))
    await wait_for(begun.is_set)
    cancelled.cancel()
    await asyncio.sleep(0)  # it hears of that
    go_on.set()
    assert isinstance((await asyncio.gather(cancelled, return_exceptions=True))[0], asyncio.CancelledError)
    await store.check_in(tmp_path / "job1")
    assert not (tmp_path / "job1").exists()
    await store.check_out(digest, tmp_path / "job2")
    assert (tmp_path / "job2/t.sh").read_text() == "1"


async def test_what_is_kept_is_bounded(store: BundleStore, bundle: Bundle, tmp_path: Path):
    digests = [bundle({**FILES, "n": str(n)}) for n in range(4)]
    jobs = [(digest, tmp_path / f"job{n}-{m}") for n, digest in enumerate(digests) for m in range(2)]
    for digest, path in jobs:
        await store.check_out(digest, path)
    for _, path in jobs:
        await store.check_in(path)
    assert len(list((tmp_path / "bundles/masters").iterdir())) <= 2
    assert len(list((tmp_path / "bundles/parked").iterdir())) <= 3
    for n, digest in enumerate(digests):
        await store.check_out(digest, tmp_path / f"again{n}")
        assert (tmp_path / f"again{n}/n").read_text() == str(n)


async def test_what_is_kept_is_bounded_in_bytes_too(source: Source, bundle: Bundle, tmp_path: Path):
    store = BundleStore(
        tmp_path / "bundles", BlobCache(tmp_path / "cache", source.fetch), limit_bytes=250_000
    )
    store.open()
    digests = [bundle({**FILES, "large": str(n) * 100_000}) for n in range(4)]
    for digest in digests:
        await store.check_out(digest, tmp_path / digest)
    for digest in digests:
        await store.check_in(tmp_path / digest)
        held = sum(path.stat().st_size for path in (tmp_path / "bundles").rglob("large"))
        assert held <= 250_000
    await store.check_out(digests[0], tmp_path / "again")
    assert (tmp_path / "again/large").read_text() == "0" * 100_000


async def test_a_copy_full_of_files_is_not_put_right(
    store: BundleStore, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bundles, "MAX_ADDED", 10)
    digest = bundle(FILES)
    await store.check_out(digest, tmp_path / "job1")
    (tmp_path / "job1/many").mkdir()
    for number in range(20):
        (tmp_path / f"job1/many/{number}").touch()
    await store.check_in(tmp_path / "job1")
    assert not (tmp_path / "job1").exists()
    assert not list((tmp_path / "bundles/parked").iterdir())


async def test_a_bundle_that_is_wanted_again_while_it_is_removed_is_made_anew(
    store: BundleStore, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first, *others = [bundle({**FILES, "n": str(n)}) for n in range(3)]
    began, go_on = threading.Event(), threading.Event()

    def slow(path: Path) -> None:
        if path.parent.name == "masters" and path.exists():
            began.set()
            assert go_on.wait(60)
        remove_tree(path)

    await store.check_out(first, tmp_path / "job0")
    await store.check_out(others[0], tmp_path / "job1")
    monkeypatch.setattr(bundles, "remove_tree", slow)
    removing = asyncio.create_task(store.check_out(others[1], tmp_path / "job2"))
    await asyncio.to_thread(began.wait, 60)
    again = asyncio.create_task(store.check_out(first, tmp_path / "job3"))
    await asyncio.wait((again,), timeout=0.5)  # it waits, or not, for what is being removed
    go_on.set()
    await asyncio.gather(removing, again)
    assert (tmp_path / "job3/n").read_text() == "0"
    await store.check_out(first, tmp_path / "job4")
    assert (tmp_path / "job4/n").read_text() == "0"


@pytest.mark.parametrize("lost", ["everything", "masters", "parked", "one file"])
async def test_what_somebody_cleared_is_made_again(
    store: BundleStore, bundle: Bundle, tmp_path: Path, lost: str
):
    digest = bundle(FILES)
    await store.check_out(digest, tmp_path / "one")
    await store.check_out(digest, tmp_path / "two")
    await store.check_in(tmp_path / "one")
    if lost == "one file":
        (tmp_path / "bundles" / "masters" / digest / "lib/deep/b").unlink()
    else:
        remove_tree(tmp_path / "bundles" / ("" if lost == "everything" else lost))
    for name in ("three", "four"):
        await store.check_out(digest, tmp_path / name)
        assert (tmp_path / name / "lib/deep/b").read_text() == "3"
    await store.check_in(tmp_path / "three")
    assert len(list((tmp_path / "bundles" / "parked").iterdir())) == 1, "and is kept again"


async def test_a_copy_that_was_not_taken_back_is_nobodys_trouble(
    store: BundleStore, bundle: Bundle, tmp_path: Path
):
    digest = bundle(FILES)
    await store.check_out(digest, tmp_path / "job1")
    await store.check_in(tmp_path / "never-checked-out")
    await store.check_out(digest, tmp_path / "job2")
    assert tree(tmp_path / "job1") == tree(tmp_path / "job2")


async def test_a_corrupt_bundle_is_said_in_a_sentence(store: BundleStore, source: Source, tmp_path: Path):
    digest = source.add(b"no archive")
    for _ in range(2):
        with pytest.raises(ArchiveError, match="the test bundle cannot be unpacked: the archive is corrupt"):
            await store.check_out(digest, tmp_path / "job")
    assert not list((tmp_path / "bundles/masters").iterdir())


async def test_a_hostile_bundle_is_refused(store: BundleStore, source: Source, tmp_path: Path):
    with tarfile.open(tmp_path / "evil", "w") as archive:
        archive.addfile(tarfile.TarInfo("../evil"))
    digest = source.add((tmp_path / "evil").read_bytes())
    with pytest.raises(ArchiveError) as caught:
        await store.check_out(digest, tmp_path / "job")
    assert (caught.value.reason, caught.value.retryable) == ("archive_unsafe", False)


async def test_a_new_agent_begins_with_an_empty_store(
    store: BundleStore, bundle: Bundle, source: Source, tmp_path: Path
):
    digest = bundle(FILES)
    await store.check_out(digest, tmp_path / "job1")
    await store.check_in(tmp_path / "job1")
    again = BundleStore(tmp_path / "bundles", BlobCache(tmp_path / "cache", source.fetch))
    again.open()
    assert not list((tmp_path / "bundles/parked").iterdir())
    await again.check_out(digest, tmp_path / "job2")
    assert (tmp_path / "job2/t.sh").read_text() == "1"
