"""What the tests of real processes share."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.launch import LaunchSpec, StreamName
from agent.supervision.job_supervisor import JobSupervisor
from agent.supervision.sweep import sweep_leftovers

Launch = Callable[..., LaunchSpec]


class Output:
    """Collects what a process wrote."""

    def __init__(self) -> None:
        self.pieces: list[tuple[StreamName, bytes]] = []

    def __call__(self, stream: StreamName, data: bytes) -> None:
        self.pieces.append((stream, data))

    def of(self, stream: StreamName) -> bytes:
        return b"".join(data for name, data in self.pieces if name == stream)


@pytest.fixture
def mark(tmp_path: Path) -> str:
    return f"test-{os.getpid()}-{tmp_path.name}:"


@pytest.fixture
async def supervisor(mark: str) -> AsyncIterator[JobSupervisor]:
    started = await JobSupervisor.start(mark=mark)
    yield started
    await started.close()
    assert sweep_leftovers(mark) == 0, "a test left processes behind"


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Makes a LaunchSpec that runs in the test's folder; `python=` runs a script."""

    def make(*argv: str, python: str | None = None, grace_s: float = 3.0, **env: str) -> LaunchSpec:
        if python is not None:
            argv = (sys.executable, "-I", "-S", "-c", python)
        return LaunchSpec(argv=argv, env={"PATH": os.environ["PATH"], **env}, cwd=tmp_path, grace_s=grace_s)

    return make
