"""Fixtures that every test may ask for: real servers on free ports, tools, the folders of a job."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import random
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

from agent.launch import JobDirs
from agent.storage.short_tmp import forget_short_tmp
from qgjob.config import STATE_DIR_VARIABLE
from tests.support.servers import NatsServer, ValkeyServer

# How long an example takes, or takes to be made up, says how busy the machine is. The same examples each time: what
# is wrong with one that comes up seldom would be met by whoever changes something else.
settings.register_profile(
    "the same everywhere",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# New ones, for `make explore`; those that fail are kept in .hypothesis, and come first the next time.
settings.register_profile(
    "new", deadline=None, derandomize=False, max_examples=1000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "the same everywhere"))

GC_THRESHOLD = (5000, 20, 20)


def pytest_configure() -> None:
    """Nothing of what is imported for all tests is garbage: to look for some takes a fifth of that time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Nor does it become garbage: at each full collection it would be looked at again."""
    put_aside()


def put_aside() -> None:
    """Exempt what there is from garbage collection, and collect the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def garbage_collection() -> None:
    """Also where tests of the module before have tuned it."""
    if gc.get_threshold() != GC_THRESHOLD:
        put_aside()


def required_program(name: str) -> str:
    """A program of this machine. Without it the test is skipped, in CI it fails."""
    found = shutil.which(name)
    if found is None:
        text = f"{name} is missing: scripts/provision.py says how to install it"
        if os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}:
            pytest.fail(text)
        pytest.skip(text)
    return found


@pytest.fixture(scope="session", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the developer's own settings, servers or data, nor writes beside them."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as under nohup: what we start would ignore it too
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith("QGJOB_") or name in {"REDIS_URL", "LOG_LEVEL", "PORT"}:
                patch.delenv(name)
        patch.setenv(STATE_DIR_VARIABLE, str(tmp_path_factory.mktemp("state")))
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session", autouse=True)
def ports() -> Iterator[None]:
    """A port that was found free is given to nobody else: it is not bound yet, or not again.

    Each of the processes that run tests takes its own in turn.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    turns = itertools.count(random.randrange(10_000))  # of another checkout, the tests run beside these

    def in_turn(lowest: int, highest: int) -> int:
        own = (highest - lowest + 1) // workers
        return lowest + worker % workers * own + next(turns) % own

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qgjob.local.ports.random", SimpleNamespace(randint=in_turn))
        yield


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell starts what runs in its background with SIGINT ignored, and every child inherits that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One nats-server for the whole session, never killed; who uses it makes names of its own."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    asyncio.run(server.start())
    yield server
    server.kill()


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A fresh nats-server with an empty store, for this test alone; it may kill or pause it."""
    server = NatsServer(tmp_path / "nats")
    await server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Valkey for the whole session, never killed."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    asyncio.run(server.start())
    yield server
    server.kill()


@pytest.fixture
async def valkey_server(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    """A fresh Valkey, for this test alone; it may kill or pause it."""
    server = ValkeyServer(tmp_path / "valkey")
    await server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def adb_program() -> str:
    """The real adb; without it tests are skipped, in CI they fail."""
    return required_program("adb")


@pytest.fixture(scope="session")
def node() -> Path:
    """The Node that the development packages bring."""
    path = Path(sys.prefix) / "bin" / "node"
    if not path.exists():
        pytest.fail("node is missing: run `make .venv/.dev` (or `make test`, which does)")
    return path


@pytest.fixture(scope="session")
def playwright_modules() -> Path:
    """A node_modules folder with @playwright/test, to be linked into a test bundle."""
    path = Path(sys.prefix) / "node" / "node_modules"
    if not (path / "@playwright" / "test").is_dir():
        pytest.fail("@playwright/test is missing: run scripts/provision.py (or `make test`, which does)")
    return path


@pytest.fixture
def dirs(tmp_path: Path) -> Iterator[JobDirs]:
    """The folders of a job, in one whose name has what regular expressions and shells care about."""
    dirs = JobDirs(root=tmp_path / "job (1)+$x")
    dirs.create()
    dirs.bundle.mkdir()
    yield dirs
    forget_short_tmp(tmp_path)
