"""Unpacking what others packed: nothing outside, nothing too large, one clear sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import resource
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.archive import Limits, unpack
from agent.archive.directory import count_entries
from agent.errors import ArchiveError
from tests.support.examples import examples

Member = tuple[tarfile.TarInfo, bytes]


def member(
    name: str, data: bytes = b"", *, mode: int = 0o644, kind: bytes = tarfile.REGTYPE, to: str = ""
) -> Member:
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname, info.size = mode, kind, to, len(data)
    return info, data


def link(name: str, to: str) -> Member:
    return member(name, kind=tarfile.SYMTYPE, to=to)


def tar(*members: Member) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zipped(files: dict[str, bytes], *, mode: int = 0o644 | stat.S_IFREG) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return buffer.getvalue()


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[..., Path]:
    def run(data: bytes, limits: Limits | None = None) -> Path:
        (tmp_path / "archive").write_bytes(data)
        dest = tmp_path / "outer" / "dest"
        unpack(tmp_path / "archive", dest, limits=limits or Limits())
        return dest

    return run


def tree(root: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(root).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_tars_of_every_kind(unpacked: Callable[..., Path], compress: Callable[[bytes], bytes]):
    dest = unpacked(
        compress(tar(member("./a/b.sh", b"x", mode=0o4755), member("c", b"y"), link("a/l", "../c")))
    )
    assert tree(dest) == {"a/b.sh": b"x", "c": b"y", "a/l": "../c"}
    assert stat.S_IMODE((dest / "a/b.sh").stat().st_mode) & 0o7777 == 0o755


def test_zips(unpacked: Callable[..., Path]):
    dest = unpacked(zipped({"a/b": b"x", "empty/": b"", "run": b"y"}, mode=0o755 | stat.S_IFREG))
    assert tree(dest) == {"a/b": b"x", "run": b"y"}
    assert (dest / "empty").is_dir()
    assert os.access(dest / "run", os.X_OK)
    assert tree(unpacked_links(dest.parent)) == {"a": b"x", "l": "a"}


def unpacked_links(folder: Path) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "x")
        info = zipfile.ZipInfo("l")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "a")
    (folder / "links.zip").write_bytes(buffer.getvalue())
    unpack(folder / "links.zip", folder / "links")
    return folder / "links"


def test_a_folder_is_copied(tmp_path: Path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/run").write_text("x")
    (source / "sub/run").chmod(0o755)
    (source / "l").symlink_to("sub")
    unpack(source, tmp_path / "dest")
    assert tree(tmp_path / "dest") == {"sub/run": b"x", "l": "sub"}
    assert os.access(tmp_path / "dest/sub/run", os.X_OK)


@pytest.mark.parametrize(
    "data",
    [
        tar(member("../evil", b"x")),
        tar(member("a/../../evil", b"x")),
        tar(member("/tmp/qgjob-evil", b"x")),
        tar(link("l", "/etc/passwd")),
        tar(link("l", "../..")),
        tar(link("a/hop", ".."), link("l", "a/hop/../..")),
        tar(link("l", "../../outer2"), member("l/x", b"x")),
        tar(member("fifo", kind=tarfile.FIFOTYPE)),
        tar(member("disk", kind=tarfile.BLKTYPE)),
        tar(member("hard", kind=tarfile.LNKTYPE, to="../../archive")),
        tar(member("hard", kind=tarfile.LNKTYPE, to="/etc/passwd")),
        zipped({"../evil": b"x"}),
        zipped({"/tmp/qgjob-evil": b"x"}),
        zipped({"l": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777),
        zipped({"fifo": b""}, mode=stat.S_IFIFO | 0o644),
    ],
)
def test_what_reaches_out_is_refused(unpacked: Callable[..., Path], tmp_path: Path, data: bytes):
    with pytest.raises(ArchiveError) as caught:
        unpacked(data)
    assert caught.value.reason in {"archive_unsafe", "archive_corrupt"}
    assert not caught.value.retryable
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "outer"}
    assert {path.name for path in (tmp_path / "outer").iterdir()} == {"dest"}
    assert not Path("/tmp/qgjob-evil").exists()


def test_nothing_is_written_through_a_link(unpacked: Callable[..., Path], tmp_path: Path):
    (tmp_path / "victim").write_text("safe")
    data = tar(link("l", str(tmp_path / "victim")), member("l", b"overwritten"))
    with pytest.raises(ArchiveError):
        unpacked(data)
    assert (tmp_path / "victim").read_text() == "safe"


def test_hard_links_become_copies(unpacked: Callable[..., Path]):
    dest = unpacked(tar(member("a", b"x"), member("b", kind=tarfile.LNKTYPE, to="a")))
    assert tree(dest) == {"a": b"x", "b": b"x"}
    assert (dest / "a").stat().st_nlink == 1


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(ratio_floor_bytes=1_000_000), "times its size"),
        (Limits(total_bytes=1_000_000), "more than 1,000,000 bytes"),
    ],
)
def test_bombs_are_stopped(unpacked: Callable[..., Path], kind: str, limits: Limits, sentence: str):
    zeros = bytes(20_000_000)
    bomb = zipped({"zeros": zeros}) if kind == "zip" else gzip.compress(tar(member("zeros", zeros)))
    assert len(bomb) < 40_000
    with pytest.raises(ArchiveError, match=sentence) as caught:
        unpacked(bomb, limits)
    assert caught.value.reason == "archive_too_large"


def test_too_many_entries_are_stopped(unpacked: Callable[..., Path]):
    with pytest.raises(ArchiveError, match="more than 10 files"):
        unpacked(tar(*(member(str(n)) for n in range(11))), Limits(entries=10))


def headers(count: int, size: int, letter: str = "x") -> bytes:
    """A tar of so many empty files, each with an extended header."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number in range(count):
            info = tarfile.TarInfo(f"file{number}")
            info.pax_headers = {"comment": letter * size}
            archive.addfile(info)
    return buffer.getvalue()


def test_headers_are_counted_like_files(unpacked: Callable[..., Path]):
    data = gzip.compress(headers(50, 200_000))
    with pytest.raises(ArchiveError, match="times its size") as error:
        unpacked(data, Limits(ratio=10, ratio_floor_bytes=2**20))
    assert error.value.reason == "archive_too_large"


def test_headers_are_not_kept(unpacked: Callable[..., Path]):
    data = headers(40, 500_000)
    tracemalloc.start()
    try:
        unpacked(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(data) / 4


def test_headers_within_headers_come_to_an_end(unpacked: Callable[..., Path]):
    chain = b"".join(tarfile.TarInfo.create_pax_global_header({f"k{n}": "x"}) for n in range(2000))
    with pytest.raises(ArchiveError):
        unpacked(chain + tar(member("a")))


def test_a_zip_of_too_many_entries_is_refused_by_its_directory(unpacked: Callable[..., Path]):
    name = b"x"
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", *[0] * 11, len(name), *[0] * 6) + name
    directory = entry * 200
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), 4, 0)
    with pytest.raises(ArchiveError, match="more than 100 files"):
        unpacked(b"PK\3\4" + directory + end, Limits(entries=100))


@pytest.mark.parametrize("large", [False, True])
def test_the_entries_of_a_zip_are_counted(monkeypatch: pytest.MonkeyPatch, *, large: bool):
    if large:  # then the directory's size stands elsewhere
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    files = {f"file{number}": b"x" for number in range(7)}
    assert count_entries(io.BytesIO(zipped(files) + (b"" if large else b"a comment"))) == len(files)


@pytest.mark.parametrize("data", [tar(member("d/" * 1500 + "f")), zipped({"d/" * 1500 + "f": b"x"})])
def test_a_name_of_thousands_of_folders_is_refused(unpacked: Callable[..., Path], data: bytes):
    with pytest.raises(ArchiveError, match="deep"):
        unpacked(data)


def test_a_header_of_gigabytes_is_not_read(unpacked: Callable[..., Path]):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 4 * 1024**3
    with pytest.raises(ArchiveError, match="corrupt"):
        unpacked(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(100_000)))


def zip_that_begins_before_itself() -> bytes:
    """Its end says that its directory lies further back than it does."""
    data = bytearray(zipped({"a": b"x"}))
    place = data.rfind(b"PK\5\6") + 16
    data[place : place + 4] = struct.pack("<L", struct.unpack_from("<L", data, place)[0] + 1000)
    return bytes(data)


NOISE = random.Random(1).randbytes(5000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive at all",
        b"PK\x03\x04 but not a zip",
        b"\x1f\x8b but not gzip",
        gzip.compress(tar(member("a", NOISE)))[:-600],
        gzip.compress(tar(member("a", NOISE)))[:-4] + b"\0\0\0\0",
        tar(member("a", NOISE))[:2000],
        zipped({"a": NOISE})[:-60],
        zipped({"a": NOISE}).replace(NOISE[:20], bytes(20)),
        bz2.compress(tar(member("a", NOISE)))[:-200],
        lzma.compress(tar(member("a", NOISE)))[:-200],
        tar(member("a", b"x"), member("a/b", b"x")),
        tar(member("a/b", b"x"), member("a", b"x")),
        tar(member("n" * 300, b"x")),
        tar(member("a", b"x"), link("a", "b")),
        headers(1, 1_000_000, "7"),
        zip_that_begins_before_itself(),
    ],
)
def test_corrupt_archives_are_one_sentence(unpacked: Callable[..., Path], data: bytes):
    with pytest.raises(ArchiveError, match=r"^the archive[^\n]*$"):
        unpacked(data)


def test_the_checkpoint_ends_it(tmp_path: Path):
    (tmp_path / "archive").write_bytes(tar(member("a", bytes(1_000_000)), member("b")))

    def checkpoint(written: int) -> None:
        raise KeyboardInterrupt(written)

    with pytest.raises(KeyboardInterrupt):
        unpack(tmp_path / "archive", tmp_path / "dest", checkpoint=checkpoint)


@settings(
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    entries=st.lists(
        st.tuples(
            st.sampled_from(["file", "link", "hard", "folder"]),
            st.text("ab./", min_size=1, max_size=7),
            st.text("ab./", min_size=1, max_size=9),
        ),
        max_size=6,
    ),
)
def test_nothing_ever_leads_out(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, str, str]]
):
    kinds = {
        "file": tarfile.REGTYPE,
        "link": tarfile.SYMTYPE,
        "hard": tarfile.LNKTYPE,
        "folder": tarfile.DIRTYPE,
    }
    outer = tmp_path_factory.mktemp("outer")
    (outer / "archive").write_bytes(
        tar(
            *(
                member(name, b"x" if kind == "file" else b"", kind=kinds[kind], to=to)
                for kind, name, to in entries
            )
        )
    )
    dest = outer / "a" / "dest"
    try:
        unpack(outer / "archive", dest)
    except ArchiveError:
        pass
    else:
        for path in dest.rglob("*"):
            assert Path(os.path.realpath(path)).is_relative_to(dest)
    assert {path.name for path in outer.iterdir()} == {"archive", "a"}
    assert {path.name for path in (outer / "a").iterdir()} <= {"dest"}


def test_a_disk_with_room_for_a_part_of_a_file_is_full(tmp_path: Path):
    """Not at the first write, which is cut short: the file would be, in silence."""
    source = tmp_path / "a.tar"
    with tarfile.open(source, "w") as archive:
        info = tarfile.TarInfo("file")
        info.size = 100_000
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            unpack(source, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
