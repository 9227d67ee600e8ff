"""What is installed on a device, remembered across restarts of the agent."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from agent import threads
from agent.drivers.base import InstalledApp
from qgjob.bus.unreadable import UNREADABLE

_TYPES = {
    "org_id": str,
    "app_version_id": str,
    "app_id": str,
    "sha256": (str, type(None)),
    "installed_at": (int, float),
    "proof": (str, type(None)),
}


class Ledger:
    """One entry an app id, in a JSON file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, InstalledApp] = {}

    def load(self) -> None:
        """Read the file. One that is missing or cannot be read says that nothing is installed."""
        self._entries = {}
        try:
            document: Any = json.loads(self._path.read_bytes())
            entries = [_entry(item) for item in cast("list[Any]", document["installed"])]
        except (OSError, *UNREADABLE):
            return
        self._entries = {entry.app_id: entry for entry in entries}

    @property
    def entries(self) -> Sequence[InstalledApp]:
        """All entries, in the order of their installs."""
        return tuple(self._entries.values())

    def get(self, app_id: str) -> InstalledApp | None:
        """The entry of an app, None when it is not installed."""
        return self._entries.get(app_id)

    async def put(self, entry: InstalledApp) -> None:
        """Remember an install in place of the app's former one."""
        self._entries.pop(entry.app_id, None)
        self._entries[entry.app_id] = entry
        await self._save()

    async def remove(self, app_id: str) -> None:
        """Forget an app."""
        if self._entries.pop(app_id, None) is not None:
            await self._save()

    async def _save(self) -> None:
        """Write the file, in a thread: while a slow disk writes, the agent's other slots go on.

        A cancel waits for that, so that what is written next is not overtaken by it.
        """
        document = {"installed": [dataclasses.asdict(entry) for entry in self._entries.values()]}
        await threads.finished(partial(_write, self._path, json.dumps(document, indent=1)))


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _entry(item: Any) -> InstalledApp:
    values = {name: item.get(name) for name in _TYPES}
    for name, kind in _TYPES.items():
        if not isinstance(values[name], kind):
            raise TypeError(name)
    return InstalledApp(**values)
