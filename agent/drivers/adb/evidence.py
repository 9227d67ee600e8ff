"""Collects evidence for a test that failed: a screenshot, and the device's log since the job began."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from agent.drivers.adb.errors import AdbError
from agent.drivers.adb.server import AdbServer
from agent.drivers.adb.wire import deadline

EVIDENCE_S: Final = 8.0
MAX_LOG_BYTES: Final = 16 * 2**20
MAX_SCREENSHOT_BYTES: Final = 32 * 2**20


async def keep_evidence(server: AdbServer, serial: str, folder: Path, *, since: str | None) -> None:
    """Write `screenshot.png` and `logcat.txt`, as far as the device gives them.

    `since`: a time of the device's clock, as logcat writes it; None: the last 5,000 lines.
    """
    extent = f"-T '{since}'" if since else "-t 5000"
    with contextlib.suppress(AdbError, OSError):
        folder.mkdir(parents=True, exist_ok=True)
        await _save(server, serial, "screencap -p", folder / "screenshot.png", MAX_SCREENSHOT_BYTES)
    with contextlib.suppress(AdbError, OSError):
        command = f"logcat -d -v threadtime {extent}"
        await _save(server, serial, command, folder / "logcat.txt", MAX_LOG_BYTES)


async def _save(server: AdbServer, serial: str, command: str, path: Path, limit: int) -> None:
    async with deadline(EVIDENCE_S, serial), server.service(serial, f"exec:{command}") as connection:
        path.unlink(missing_ok=True)
        with path.open("xb") as file:  # exclusive: a test may have left a pipe there, which would block us
            while limit > 0 and (piece := await connection.reader.read(64 * 1024)):
                file.write(piece[:limit])
                limit -= len(piece)
    if path.stat().st_size == 0:
        path.unlink()
