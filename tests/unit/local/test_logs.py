"""The log files of children."""

from __future__ import annotations

from pathlib import Path

from qgjob.local.logs import ChildLog, NewText


def test_a_tail_is_the_last_lines_without_what_could_harm_a_terminal(tmp_path: Path) -> None:
    log = ChildLog(tmp_path, "child")
    with log.open() as file:
        file.write(b"one\ntwo\n\x1b[2Jthree\xff\n")
    assert log.tail(2) == "  | two\n  |  [2Jthree\N{REPLACEMENT CHARACTER}"


def test_a_log_that_is_not_there_has_no_tail_and_needs_no_care(tmp_path: Path) -> None:
    log = ChildLog(tmp_path, "child")
    log.begin()
    log.trim()
    assert log.tail() == ""


def test_a_log_is_cut_under_its_writer_when_it_is_too_long(tmp_path: Path) -> None:
    log = ChildLog(tmp_path, "child")
    with log.open() as file:
        file.write(b"x" * 100)
        file.flush()
        log.trim(limit=100)
        assert log.path.stat().st_size == 100
        log.trim(limit=99)
        file.write(b"after")
    assert log.path.read_bytes() == b"after"
    assert (tmp_path / "child.log.1").read_bytes() == b"x" * 100


def test_a_log_is_for_this_user_alone(tmp_path: Path) -> None:
    log = ChildLog(tmp_path, "child")
    log.open().close()
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_what_is_new_is_read_once_and_after_a_cut_from_the_beginning(tmp_path: Path) -> None:
    log = ChildLog(tmp_path, "child")
    with log.open() as file:
        file.write(b"before")
    new = NewText(log)
    assert b"".join(new.read()) == b""
    with log.open() as file:
        file.write(b"later")
    assert b"".join(new.read()) == b"later"
    assert b"".join(new.read()) == b""
    log.trim(limit=1)
    with log.open() as file:
        file.write(b"new")
    assert b"".join(new.read()) == b"new"


def test_a_line_on_the_border_of_two_pieces_is_in_one_of_them(tmp_path: Path) -> None:
    log = ChildLog(tmp_path, "child")
    new = NewText(log)
    with log.open() as file:
        file.write(b"x" * (256 * 1024 - 5) + b"no space left on device" + b"y" * 1000)
    assert any(b"no space left on device" in piece for piece in new.read())
