"""The samples by themselves: each build runs as a server, and its tests say what the demo counts on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from qgjob.demo.plan import Plan, shop_plan
from qgjob.demo.run import assertion_in
from qgjob.local import guard
from qgjob.local.ports import free_port
from tests.support.wait import wait_for

PLAN = shop_plan()
AT_ONCE = 6


@contextmanager
def served(plan: Plan, version: str, log: Path) -> Generator[str]:
    """A build as a slot would start it; gives its address."""
    manifest = json.loads((plan.build(version) / "qgjob-app.json").read_text())
    port = free_port("127.0.0.1")
    program = [sys.executable if word == "python3" else word for word in manifest["start"]]
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), "-1", *program],
            cwd=plan.build(version),
            env={**os.environ, manifest["port_env"]: str(port)},
            stdout=output,
            stderr=output,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def run_test(test: str, version: str, url: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-B", test],
        cwd=PLAN.root,
        env={"PATH": os.environ["PATH"], "QGJOB_APP_URL": url, "QGJOB_APP_VERSION_ID": version},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("version", PLAN.versions)
async def test_only_what_finds_the_bug_fails(version: str, tmp_path: Path) -> None:
    with served(PLAN, version, tmp_path / "log") as url:
        await wait_for(lambda: answers(f"{url}/healthz"), 30, f"{version} to answer")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running = {test: pool.submit(run_test, test, version, url) for test in PLAN.tests}
        ended = {test: future.result() for test, future in running.items()}
    failed = {test for test, (code, _) in ended.items() if code}
    outputs = "\n".join(output for code, output in ended.values() if code)
    assert failed == {test for broken, test in PLAN.broken if broken == version}, outputs
    log = (tmp_path / "log").read_text()
    assert " 500" not in log, log
    for test in failed:
        assert assertion_in(ended[test][1]).startswith("AssertionError: Decimal("), ended[test][1]


def test_a_test_without_a_shop_says_what_is_missing() -> None:
    code, output = run_test("tests/test_smoke.py", "v1.0", "")
    assert code != 0
    assert "QGJOB_APP_URL is not set" in output
