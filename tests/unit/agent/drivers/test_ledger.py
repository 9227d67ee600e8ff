"""What is installed is written to the disk in a thread: a slow disk holds up nobody else."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from agent.drivers.base import InstalledApp
from agent.drivers.ledger import Ledger


class SlowDisk:
    """Writes nothing through until it is let, by who has the event loop to itself meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()
        monkeypatch.setattr(os, "fsync", self._fsync)

    def _fsync(self, _: int) -> None:
        self.reached.set()
        assert self.go.wait(10), "the event loop stood still while the disk wrote"


def entry(version: str) -> InstalledApp:
    return InstalledApp(org_id="acme", app_version_id=version, app_id="app", sha256=None, installed_at=1.0)


def reloaded(path: Path) -> list[str]:
    ledger = Ledger(path)
    ledger.load()
    return [each.app_version_id for each in ledger.entries]


async def test_the_loop_goes_on_while_the_disk_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    disk, ledger = SlowDisk(monkeypatch), Ledger(tmp_path / "installed.json")
    putting = asyncio.create_task(ledger.put(entry("1")))
    await asyncio.to_thread(disk.reached.wait, 10)
    assert not putting.done()
    disk.go.set()
    await putting
    assert reloaded(tmp_path / "installed.json") == ["1"]


async def test_who_is_cancelled_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    disk, ledger = SlowDisk(monkeypatch), Ledger(tmp_path / "installed.json")
    putting = asyncio.create_task(ledger.put(entry("1")))
    await asyncio.to_thread(disk.reached.wait, 10)
    putting.cancel()
    await asyncio.sleep(0)
    assert not putting.done()
    disk.go.set()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await ledger.remove("app")
    await ledger.put(entry("2"))
    assert reloaded(tmp_path / "installed.json") == ["2"]
