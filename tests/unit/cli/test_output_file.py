from __future__ import annotations

import os
import resource
import signal
import stat
from pathlib import Path

import pytest

from qgjob.cli import output_file
from qgjob.cli.output_file import remove_old, write_whole

OLD, NEW = b"<old/>", b"<testsuites>" + b" " * 100_000 + b"</testsuites>"


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path):
    path = tmp_path / "junit.xml"
    for mode in (None, 0o640):
        if mode:
            path.chmod(mode)
        write_whole(path, NEW)
        assert path.read_bytes() == NEW
        assert mode in (None, stat.S_IMODE(path.stat().st_mode))
    assert list(tmp_path.iterdir()) == [path]


def test_without_room_the_file_stays_as_it_was(tmp_path: Path):
    path = tmp_path / "junit.xml"
    path.write_bytes(OLD)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write_whole(path, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_leaves_no_half_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "junit.xml"
    path.write_bytes(OLD)

    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, NEW)
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_links_and_pipes_stay_what_they_are(tmp_path: Path):
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(tmp_path / "file")
    os.mkfifo(pipe)
    write_whole(link, NEW)
    assert link.is_symlink()
    assert (tmp_path / "file").read_bytes() == NEW
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, OLD)
    assert os.read(reading, 100) == OLD
    os.close(reading)


def test_a_file_that_cannot_be_replaced_is_written_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "junit.xml"
    path.write_bytes(OLD)

    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")  # as of a file that is mounted into a container

    monkeypatch.setattr(os, "replace", busy)
    write_whole(path, NEW)
    assert path.read_bytes() == NEW
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_file_is_removed_or_at_least_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, link, pipe = tmp_path / "junit.xml", tmp_path / "link", tmp_path / "pipe"
    remove_old(path)
    path.write_bytes(OLD)
    link.symlink_to(path)
    os.mkfifo(pipe)
    remove_old(link)
    remove_old(pipe)
    assert (path.read_bytes(), link.is_symlink(), pipe.exists()) == (OLD, True, True)

    def busy(*_: object, **__: object) -> None:
        raise OSError(16, "Device or resource busy")  # as of a file that is mounted into a container

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", busy)
        remove_old(path)
        assert path.read_bytes() == b""
    for beginning in (b"", b"\xef\xbb\xbf\n  "):
        path.write_bytes(beginning + OLD)
        remove_old(path)
        assert not path.exists()


def test_what_is_no_report_is_not_removed(tmp_path: Path):
    """It was named by mistake, and no CI would take it for a report."""
    path = tmp_path / "test_login.py"
    path.write_bytes(b"import pytest\n")
    remove_old(path)
    assert path.read_bytes() == b"import pytest\n"


def test_two_commands_may_remove_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "junit.xml"
    path.write_bytes(OLD)
    look = output_file._may_be_xml  # pyright: ignore[reportPrivateUsage]

    def look_while_the_other_removes_it(path: Path) -> bool:
        found = look(path)
        path.unlink()
        return found

    monkeypatch.setattr(output_file, "_may_be_xml", look_while_the_other_removes_it)
    remove_old(path)
    assert not path.exists()
