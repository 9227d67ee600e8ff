"""The log files of children."""

from __future__ import annotations

from pathlib import Path

from qgjob.local.logs import ChildLog


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
