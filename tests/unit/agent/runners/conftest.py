from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import shorttmp
from agent.launch import JobDirs


@pytest.fixture
def dirs(tmp_path: Path) -> Iterator[JobDirs]:
    dirs = JobDirs(root=tmp_path / "job")
    dirs.create()
    dirs.bundle.mkdir()
    yield dirs
    shorttmp.forget_short_tmp(tmp_path)
