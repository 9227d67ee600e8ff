"""The runner and the driver that the documentation shows work as they stand there."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from qgjob.client import Client
from qgjob.client.models import SubmitRequest, WaitOptions
from qgjob.clock import SystemClock
from tests.support.pipeline import counts_reached, system
from tests.support.runs import planned, submit

DOCS = Path(__file__).resolve().parents[3] / "docs"


def shown(page: str, class_name: str) -> str:
    """The block of Python of a page in which a class stands."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    (block,) = [block for block in blocks if f"class {class_name}(" in block]
    return block


class Firmware(BaseHTTPRequestHandler):
    """A toaster."""

    held = b""

    def do_GET(self) -> None:
        self._answer(type(self).held)

    def do_PUT(self) -> None:
        type(self).held = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def toaster() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Firmware) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


async def test_the_toaster_is_flashed_once_for_two_tests(
    tmp_path: Path, toaster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab_toasters.py").write_text(shown("drivers.md", "ToasterDriver"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("QGJOB_DRIVER_PLUGINS", "lab_toasters:ToasterDriver")
    arguments = ("--driver", "toaster", "--devices", toaster)
    async with system(tmp_path / "up", agents=1, slots=1, agent_args=arguments) as (_, bus):
        (tmp_path / "crumbs.bin").write_bytes(b"brown on both sides")
        client = Client(bus, SystemClock())
        await client.upload_app(tmp_path / "crumbs.bin", org_id="bench", app_version_id="v1")
        look = "import os, urllib.request as u; print(u.urlopen(os.environ['TOASTER_URL']).read().decode())"
        run = planned(2, runner="command", argv=("python3", "-c", look), requires=("toaster",))
        await submit(bus, run)
        await counts_reached(bus, run.run_id, {"passed": 2})
        waited = await client.wait(run.run_id, WaitOptions(timeout_s=10))
        assert sorted(job.attempts[0].installed for job in waited.jobs) == [False, True]
        assert Firmware.held == b"brown on both sides"


async def test_the_unittest_runner_runs_tests_of_unittest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab_unittest.py").write_text(shown("runners.md", "UnittestRunner"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    case = "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(1, {})\n"
    (bundle / "good.py").write_text(case.format(1))
    (bundle / "bad.py").write_text(case.format(2))
    (bundle / "no.txt").write_text("")
    plugins = "lab_unittest:UnittestRunner"
    async with system(tmp_path / "up", plugins=plugins, agents=1, slots=1) as (_, bus):
        client = Client(bus, SystemClock())
        request = SubmitRequest(
            org_id="acme", app_version_id="v1", tests=("good.py", "bad.py", "no.txt"), runner="unittest"
        )
        submitted = await client.submit_tests(request, folder=bundle)
        waited = await client.wait(submitted.run_id, WaitOptions(timeout_s=60), known=submitted)
        assert {job.test: (job.state, job.message) for job in waited.jobs} == {
            "good.py": ("passed", None),
            "bad.py": ("failed", "exit code 1"),
            "no.txt": ("errored", "no.txt is no Python file"),
        }
