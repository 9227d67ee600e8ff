"""The installed `qgjob` command as users and scripts run it, and a whole system for it to talk to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qgjob.local.ports import free_port
from tests.support.warm import WarmQgjob


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Qgjob:
    """Runs `qgjob` in a folder, with an environment that knows nothing of this machine's."""

    folder: Path
    env: dict[str, str]
    warm: WarmQgjob | None = None
    """What runs commands that were run before, unless they have variables of their own: Python may read them."""

    @property
    def argv(self) -> list[str]:
        return [str(Path(sys.executable).with_name("qgjob"))]

    def __call__(self, *args: str, env: dict[str, str] | None = None, timeout: float = 60) -> Done:
        argv = [*self.argv, *args]
        if self.warm and self.warm.knows(args) and not env:
            done = self.warm.run(argv, self.folder, self.env, timeout)
            return Done(done.returncode, done.stdout, done.stderr)
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=self.env | (env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.argv, *args],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def file(self, name: str, text: str = "") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


def clean_env(folder: Path) -> dict[str, str]:
    ours = ("QGJOB_", "XDG_", "CI", "GITHUB_", "GITLAB_", "JENKINS_", "BUILDKITE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"QGJOB_STATE_DIR": str(folder), "HOME": str(folder), "COLUMNS": "200"}


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmQgjob]:
    """Commands that need not import what they need."""
    warm = WarmQgjob()
    yield warm
    warm.close()


@pytest.fixture
def lonely(warm: WarmQgjob, tmp_path: Path) -> Qgjob:
    """`qgjob` where no server is."""
    port = free_port("127.0.0.1")
    work = tmp_path / "work"
    work.mkdir()
    (work / "qgjob.toml").touch()
    return Qgjob(work, clean_env(tmp_path) | {"QGJOB_SERVER": f"nats://127.0.0.1:{port}"}, warm)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A `qgjob up` with four slots; gives the environment in which other commands find it."""
    folder = tmp_path_factory.mktemp("up")
    env = clean_env(folder)
    port = free_port("127.0.0.1")
    command = [str(Path(sys.executable).with_name("qgjob")), "up", "--data-dir", str(folder / "data")]
    with (folder / "log").open("w") as log:
        up = subprocess.Popen(
            [*command, "--port", str(port)], env=env, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert up.stdout is not None
    first = up.stdout.readline()
    assert "qgjob is up" in first, first + (folder / "log").read_text()
    yield env
    up.send_signal(signal.SIGTERM)
    up.communicate(timeout=60)
    assert up.returncode == 0


@pytest.fixture
def qgjob(system: dict[str, str], warm: WarmQgjob, tmp_path: Path) -> Qgjob:
    """`qgjob` in an empty project, for an organisation of its own, beside a running system."""
    (tmp_path / "qgjob.toml").touch()
    more = {"QGJOB_ORG_ID": f"org-{tmp_path.name}", "QGJOB_APP_VERSION_ID": "v1"}
    return Qgjob(tmp_path, system | more, warm)


@pytest.fixture
def script(qgjob: Qgjob) -> Callable[..., str]:
    """Writes a test that is a Python program; the name to submit is returned."""

    def write(name: str, text: str) -> str:
        qgjob.file(name, text)
        return name

    return write
