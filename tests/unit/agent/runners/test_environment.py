"""The environment of a job."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.launch import JobDirs
from agent.runners import toolchain
from agent.runners.environment import job_environment
from agent.runners.toolchain import Toolchain
from agent.storage import short_tmp
from tests.support.runnerjobs import TOOLS, job


def test_the_environment_is_ours_and_the_users_but_never_the_agents(
    dirs: JobDirs, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AGENT_SECRET", "x")
    monkeypatch.setattr(short_tmp, "MAX_BYTES", 4096)
    env = job_environment(job(GREETING="hi", PATH="/mine", QGJOB_JOB_ID="forged", QGJOB_NEW="x"), dirs, TOOLS)
    assert env == {
        "CI": "true",
        "GREETING": "hi",
        "HOME": str(dirs.home),
        "LANG": "de_DE.UTF-8",
        "PATH": "/mine",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(dirs.tmp),
        "QGJOB_APP_DIR": "",
        "QGJOB_APP_PACKAGE": "",
        "QGJOB_APP_URL": "http://127.0.0.1:1",
        "QGJOB_APP_VERSION_ID": "v1",
        "QGJOB_ARTIFACTS_DIR": str(dirs.artifacts),
        "QGJOB_BUNDLE_DIR": str(dirs.bundle),
        "QGJOB_DEVICE": "d1",
        "QGJOB_JOB_ATTEMPT": "2",
        "QGJOB_JOB_ID": "j_1",
        "QGJOB_JUNIT_FILE": str(dirs.reports / "junit.xml"),
        "QGJOB_ORG_ID": "acme",
        "QGJOB_RUN_ID": "r_1",
        "QGJOB_SLOT": "s1",
        "QGJOB_TEST": "t.sh",
    }


@pytest.mark.parametrize(("platform", "cache"), [("linux", ".cache"), ("darwin", "Library/Caches")])
def test_playwrights_browsers_are_where_each_system_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, cache: str
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(toolchain, "sys", SimpleNamespace(platform=platform, executable=sys.executable))
    browsers = tmp_path / cache / "ms-playwright"
    browsers.mkdir(parents=True)
    assert Toolchain.discover({}).environment["PLAYWRIGHT_BROWSERS_PATH"] == str(browsers)
