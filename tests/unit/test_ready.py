"""How a service says that it is ready."""

from __future__ import annotations

import os

import pytest

from qgjob.ready import READY_FD_VARIABLE, announce_ready


def test_it_writes_one_line_and_closes_and_forgets_the_descriptor() -> None:
    read, write = os.pipe()
    environ = {READY_FD_VARIABLE: str(write), "OTHER": "stays"}
    announce_ready(environ)
    announce_ready(environ)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"ready\n"
    assert environ == {"OTHER": "stays"}


@pytest.mark.parametrize("value", ["", "no number", "-1", "99999"])
def test_a_descriptor_that_is_none_is_no_reason_to_fail(value: str) -> None:
    announce_ready({READY_FD_VARIABLE: value})


def test_nobody_asked() -> None:
    announce_ready({})
