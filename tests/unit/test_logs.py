"""How services log."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qgjob.errors import UsageError
from qgjob.logs import set_up_logging

Logged = Callable[[dict[str, str]], list[str]]


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Logged:
    """What a warning of two lines and an error with a traceback look like."""
    root = logging.getLogger()

    def write(env: dict[str, str]) -> list[str]:
        monkeypatch.setattr(root, "level", root.level)
        monkeypatch.setattr(root, "handlers", list[logging.Handler]())  # pytest has put its own there
        path = tmp_path / "log"
        with path.open("w") as stream:
            status = os.fstat(stream.fileno())
            journal = env.get("JOURNAL_STREAM", "").replace("HERE", f"{status.st_dev}:{status.st_ino}")
            set_up_logging({**env, "JOURNAL_STREAM": journal}, stream)
            log = logging.getLogger("a.b")
            log.info("left %s", "out")
            log.warning("two\nlines of %s", "text")
            try:
                raise OSError("disk")
            except OSError:
                log.exception("it failed")
        return path.read_text().splitlines()

    return write


def test_for_a_file_or_a_terminal_with_the_time(logged: Logged):
    lines = logged({"LOG_LEVEL": "warning", "JOURNAL_STREAM": "1:2"})
    assert lines[0].partition(" WARNING a.b: ")[2] == "two"
    assert lines[-1] == "OSError: disk"


def test_for_the_journal_each_line_has_a_priority_and_no_time(logged: Logged):
    lines = logged({"LOG_LEVEL": "warning", "JOURNAL_STREAM": "HERE"})
    assert lines[:3] == ["<4>WARNING a.b: two", "<4>lines of text", "<3>ERROR   a.b: it failed"]
    assert lines[-1] == "<3>OSError: disk"


def test_json_is_one_object_a_line(logged: Logged):
    warning, error = map(json.loads, logged({"LOG_LEVEL": "warning", "LOG_FORMAT": "json"}))
    assert (warning["level"], warning["logger"], warning["message"]) == (
        "warning",
        "a.b",
        "two\nlines of text",
    )
    assert error["traceback"].endswith("OSError: disk")
    assert warning["time"].endswith("+00:00")


@pytest.mark.parametrize(("name", "value"), [("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml")])
def test_another_value_is_refused(logged: Logged, name: str, value: str):
    with pytest.raises(UsageError, match=f"{name} is '{value}'"):
        logged({name: value})
