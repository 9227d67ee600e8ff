"""A real adb server of the test's own, on a port of its own, with a key of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Self

from qgjob.local.ports import free_port


class AdbHost:
    """Runs the real `adb`; `home` keeps its key."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "TMPDIR": str(home),
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            # It would look for emulators on all ports up to 5585, and find other tests' devices.
            "ADB_LOCAL_TRANSPORT_MAX_PORT": "0",
        }

    async def adb(self, *arguments: str, timeout: float = 30) -> tuple[int, str]:
        """Run the real client; its exit code and all that it wrote."""
        program = shutil.which("adb")
        assert program is not None, "adb is missing"
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(timeout):
            output, _ = await process.communicate()
        return process.returncode or 0, output.decode("utf-8", "replace")

    async def __aenter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.adb("kill-server")
