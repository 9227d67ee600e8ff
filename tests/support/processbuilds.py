"""Builds of a small server, and a device of driver `process` to install them on."""

from __future__ import annotations

import asyncio
import os
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

from agent.drivers.base import Build, InstallResult
from agent.drivers.marker import SlotSpec
from agent.drivers.process import ProcessDevice
from qgjob.clock import SystemClock

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in ("/", "/healthz") else 404)
        self.end_headers()
        self.wfile.write(f"{os.environ['QGJOB_APP_VERSION_ID']} {os.getpid()}".encode())
    def log_message(self, *_): pass
print("listening", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
"""Answers with its version and its process id."""
MANIFEST = {"start": [sys.executable, "-I", "-S", "server.py"], "ready": {"http": "/healthz"}}
ENVIRONMENT = {"PATH": os.environ["PATH"]}
MakeBuild = Callable[..., Build]


async def new_device(tmp_path: Path, mark: str, install_seconds: float = 0.0) -> ProcessDevice:
    """The device of a slot whose folder is in `tmp_path`, open."""
    spec = SlotSpec(
        name="s1", folder=tmp_path / "slot", labels=frozenset({"process"}), install_seconds=install_seconds
    )
    made = ProcessDevice(spec, SystemClock(), ENVIRONMENT, mark)
    await made.open()
    return made


async def install(device: ProcessDevice, build: Build, timeout_s: float = 60) -> InstallResult:
    """Install a build, in time."""
    return await device.install(build, timeout_s=timeout_s)


async def get(url: str | None) -> tuple[str, int]:
    """What the server says: its version, and its process id."""
    assert url is not None

    def read() -> str:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())

    version, pid = (await asyncio.to_thread(read)).split()
    return version, int(pid)


def folders(tmp_path: Path) -> int:
    """How many builds are unpacked."""
    return len(list((tmp_path / "slot/apps").iterdir()))
